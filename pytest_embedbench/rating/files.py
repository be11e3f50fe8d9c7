"""Read and write files of judgments: JSON lines, and CSV as leaderboards publish it. Every row is one judgment.

A row that cannot be read is an error that names the file, the line, the key and the fix. A dropped judgment would
change a leaderboard without anybody noticing, and so would a misspelt ``first_shown``, which loses the lists' order.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from pytest_embedbench.core.decoding import DECODE_ERRORS
from pytest_embedbench.core.files import write_atomically
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.rating.judgments import Judgment

REQUIRED_KEYS = ("dataset", "query_id", "model_a", "model_b", "outcome")
JSON_SUFFIXES = frozenset({".jsonl", ".ndjson", ".json"})

_FIXES = {
    "outcome": "write a if the list of model_a is better, b if that of model_b is, or tie",
    "first_shown": "write a or b; leave it empty if both orders were shown, or none",
    "repeat": "write 0, or 1 if an earlier judgment asked the same question",
}
_ROW_FIX = f"write one judgment a line with {', '.join(REQUIRED_KEYS)} and, if known, first_shown and repeat"


def read_judgments(paths: Iterable[Path]) -> list[Judgment]:
    """Return all judgments of the files, in order; none is merged or dropped.

    A file is JSON lines (one ``Judgment`` a line) if its name or its first character says so, otherwise CSV with a
    header. Other keys and columns are ignored, unless they look like a misspelt known one.

    Raises:
        ConfigurationError: a file cannot be read, holds no judgment, or has a bad row; ``where`` has file, line, key.
    """
    return [judgment for path in paths for judgment in _read(path)]


def write_judgments(path: Path, judgments: Iterable[Judgment]) -> None:
    """Write JSON lines, whole or not at all; ``read_judgments`` returns equal judgments."""
    write_atomically(path, "".join(msgspec.json.encode(judgment).decode() + "\n" for judgment in judgments))


def _read(path: Path) -> list[Judgment]:
    text = _text(path)
    # The first character decides for files without a telling name: no header of a CSV file begins with a brace.
    json_lines = path.suffix.lower() in JSON_SUFFIXES or text.lstrip().startswith("{")
    rows = _json_rows(text, path) if json_lines else _csv_rows(text, path)
    # In CSV every value is a text, so numbers are converted; in JSON a number in quotes is an error.
    judgments = [_judgment(row, where, strict=json_lines) for where, row in rows]
    if not judgments:
        raise ConfigurationError(str(path), "holds no judgment", _ROW_FIX)
    return judgments


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(str(path), f"cannot be read: {error.strerror}", "name a file of judgments") from None
    try:
        return content.decode("utf-8-sig")  # spreadsheets put a byte order mark in front
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(f"{path}:{line}", f"not UTF-8 ({error.reason})", "save the file as UTF-8") from None


def _json_rows(text: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    for number, line in enumerate(text.split("\n"), 1):  # JSON leaves other line separators in strings as they are
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
        except DECODE_ERRORS as error:
            raise ConfigurationError(f"{path}:{number}", f"not a judgment in JSON: {error}", _ROW_FIX) from None
        _check_names(row, f"{path}:{number}")
        yield f"{path}:{number}", row


def _csv_rows(text: str, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    try:
        for cells in reader:
            where = f"{path}:{reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip() for cell in cells]
                _check_header(header, where)
            elif len(cells) != len(header):
                problem = f"{len(cells)} columns where the header has {len(header)}"
                raise ConfigurationError(where, problem, f"give each row {','.join(header)}")
            else:
                row = {key: cell.strip() for key, cell in zip(header, cells, strict=True)}
                # An empty cell of an optional column means that the value is unknown.
                yield where, {key: cell for key, cell in row.items() if cell or key in REQUIRED_KEYS}
    except csv.Error as error:
        raise ConfigurationError(f"{path}:{reader.line_num}", f"not CSV: {error}", "check the quotes") from None


def _check_header(header: list[str], where: str) -> None:
    _check_names(dict.fromkeys(header), where)
    if missing := [name for name in REQUIRED_KEYS if name not in header]:
        # Only the first seven fields: the others are details that the package's own judges add.
        fix = f"the first line names the columns: {','.join(Judgment.__struct_fields__[:7])}"
        raise ConfigurationError(f"{where}: {missing[0]}", "the column is missing", fix)
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise ConfigurationError(f"{where}: {repeated[0]}", "the column stands twice", "keep one of them")


def _check_names(row: Mapping[str, object], where: str) -> None:
    # Only names that the row lacks: beside first_shown, a column first_shown_2 is somebody's own.
    absent = [name for name in Judgment.__struct_fields__ if name not in row]
    for name in row.keys() - set(Judgment.__struct_fields__):
        # The high cutoff accepts slips such as first_show, not words that merely resemble a known name.
        if close := get_close_matches(name.casefold().replace("-", "_"), absent, n=1, cutoff=0.85):
            raise ConfigurationError(f"{where}: {name}", "unknown name", f"did you mean {close[0]!r}?")


def _judgment(row: dict[str, Any], where: str, *, strict: bool) -> Judgment:
    for key in REQUIRED_KEYS:
        if row.get(key) is None or not str(row[key]).strip():
            raise ConfigurationError(f"{where}: {key}", "missing", _FIXES.get(key, _ROW_FIX))
    try:
        return msgspec.convert(row, Judgment, strict=strict)
    except msgspec.ValidationError as error:
        problem, _, position = str(error).partition(" - at `$.")  # as msgspec writes it
        key = re.split(r"[.\[`]", position)[0]
        raise ConfigurationError(f"{where}: {key}", problem, _FIXES.get(key, _ROW_FIX)) from None
