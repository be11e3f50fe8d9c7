"""Read the rows of a table in any format: CSV, TSV, JSON lines, Parquet.

A new format is one function, one line in ``_READERS`` and its ending in ``SUFFIXES``. A column is found under any of
several names. Parquet is read in batches of rows and only the columns asked for, so that a corpus of millions of rows
neither has to fit into memory nor becomes a Python object for every cell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

import msgspec

from pytest_embedbench.core.decoding import DECODE_ERRORS
from pytest_embedbench.core.files import LFS_POINTER
from pytest_embedbench.core.unpacking import TooLargeError, check_unpacked
from pytest_embedbench.datasets.files import lines, opened
from pytest_embedbench.errors import DatasetError, needs_extra

BATCH_ROWS = 65_536
"""Rows of a Parquet file that are in memory at a time."""
MAX_CELL = 2**31 - 1
"""Characters of a CSV cell; csv's own limit of 131,072 is shorter than long documents."""

TableRow = tuple[int, tuple[Any, ...]]
"""A row's number and its values, None where a column is absent.

The number is that of the line in text formats, and in Parquet that of the row, from 1.
"""

ChooseColumns = Callable[[Sequence[str]], Sequence[str | None]]
"""Choose the columns to read of a table with this header; None stands for an optional column that it lacks."""


class Column(NamedTuple):
    """A column to read, under any of its names; upper or lower case and the word separator do not matter."""

    names: tuple[str, ...]
    required: bool = True


def is_table(name: str) -> bool:
    """Whether a file of this name holds a table."""
    return table_suffix(name) in SUFFIXES


def read_table(file: Traversable, columns: Sequence[Column]) -> Iterator[TableRow]:
    """Yield the table's rows, each with the values of ``columns`` in their order.

    Raises:
        DatasetError: a required column is missing or a row is malformed; names the file and the row.
    """
    if table_suffix(file.name) == ".jsonl":
        return _json_rows(file, columns)
    return _READERS[table_suffix(file.name)](file, lambda header: choose_columns(str(file), header, columns))


def read_records(file: Traversable, choose: ChooseColumns) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the table's rows by column name, with their numbers; a record of JSON lines has all its keys.

    Args:
        file: the table.
        choose: returns the columns to read of a table with this header; not asked for JSON lines.

    Raises:
        DatasetError: a row is malformed; names the file and the row.
    """
    if table_suffix(file.name) == ".jsonl":
        yield from _json_records(file)
        return
    names: list[str | None] = []

    def remember(header: Sequence[str]) -> Sequence[str | None]:
        names.extend(choose(header))
        return names

    for number, values in _READERS[table_suffix(file.name)](file, remember):
        yield number, {name: value for name, value in zip(names, values, strict=True) if name is not None}


def table_suffix(name: str) -> str:
    return "." + name.removesuffix(".gz").rpartition(".")[2].casefold()


def _read_csv(file: Traversable, choose: ChooseColumns) -> Iterator[TableRow]:
    return _read_delimited(file, choose, ",")


def _read_tsv(file: Traversable, choose: ChooseColumns) -> Iterator[TableRow]:
    return _read_delimited(file, choose, "\t")


def _read_delimited(file: Traversable, choose: ChooseColumns, delimiter: str) -> Iterator[TableRow]:
    rows = delimited_rows(file, delimiter)
    _, header = next(rows, (1, []))
    positions = [None if name is None else header.index(name) for name in choose(header)]
    for number, row in rows:
        if len(row) != len(header):
            problem = f"{len(row)} columns where the header has {len(header)}"
            fix = f"put double quotes around texts that hold a {'comma' if delimiter == ',' else 'tab'}"
            raise DatasetError(problem, where=f"{file}:{number}", fix=fix)
        yield number, tuple(None if position is None else row[position] for position in positions)


def delimited_rows(file: Traversable, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV or TSV file, the header among them, with the number of the line on which each ends.

    Raises:
        DatasetError: quotation marks do not fit, or the file is not UTF-8; names the file and the line.
    """
    with opened(file) as content, _long_cells():
        text = io.TextIOWrapper(content, encoding="utf-8-sig", newline="")
        # strict: otherwise a quotation mark that is never closed swallows the rest of the file.
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            yield from ((reader.line_num, row) for row in reader if row)
        except csv.Error as error:
            fix = "double quotes within a text are written twice, and the text stands in quotes"
            raise DatasetError(str(error), where=f"{file}:{reader.line_num}", fix=fix) from None
        except UnicodeDecodeError as error:
            problem = f"not UTF-8 after line {reader.line_num} ({error.reason})"
            raise DatasetError(problem, where=str(file)) from None


@contextmanager
def _long_cells() -> Iterator[None]:
    """Raise csv's limit on the length of a cell, which is one setting for the whole process, and restore it."""
    before = csv.field_size_limit(MAX_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _json_rows(file: Traversable, columns: Sequence[Column]) -> Iterator[TableRow]:
    chosen: list[str | None] = []
    for number, record in _json_records(file):
        # The first line stands for the header: a key that only later lines have is not read.
        chosen = chosen or choose_columns(str(file), list(record), columns)
        for name, column in zip(chosen, columns, strict=True):
            if column.required and name not in record:
                raise DatasetError(f"the key {name!r} is missing, which the first line has", where=f"{file}:{number}")
        yield number, tuple(None if name is None else record.get(name) for name in chosen)


def _json_records(file: Traversable) -> Iterator[tuple[int, dict[str, Any]]]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    number = 0
    for number, line in lines(file):
        try:
            yield number, decoder.decode(line)
        except DECODE_ERRORS as error:
            raise malformed_line(file, number, line, error) from None
    if not number:
        raise DatasetError("is empty", where=str(file))


def malformed_line(file: Traversable, number: int, line: str, error: Exception) -> DatasetError:
    """Return the error about a line of JSON lines; a first line such as ``[`` shows that it is another kind of JSON."""
    if number == 1 and (line.strip() in {"[", "{", "[]", "{}"} or line.lstrip().startswith("[{")):
        problem = "JSON over several lines or in one list, not JSON lines: a line must hold one whole object"
        command = f"jq -c '.[]' {file.name}" if line.lstrip().startswith("[") else f"jq -c . {file.name}"
        return DatasetError(problem, where=str(file), fix=f"write each object on a line of its own: {command}")
    if number == 1 and line.startswith(LFS_POINTER):
        return DatasetError("a pointer of Git LFS stands in its place", where=str(file), fix="git lfs pull")
    return DatasetError(str(error), where=f"{file}:{number}")


def json_lines_fix(name: str, to: str) -> str:
    """Return the fix for a file of JSON that is not JSON lines."""
    return f"write each object on a line of its own: jq -c 'if type == \"array\" then .[] else . end' {name} > {to}"


def separator_fix(header: Sequence[str]) -> str:
    """Return the fix for a header that is not cut into columns since its separator is another one; "" otherwise."""
    separators = {",": "commas", ";": "semicolons", "|": "bars", "\t": "tabs"}
    found = next((word for mark, word in separators.items() if len(header) == 1 and mark in header[0]), "")
    ways = "separate the columns by commas in .csv files, by tabs in .tsv files"
    return f"{ways}; this file seems to have {found}" if found else ""


def _read_parquet(file: Traversable, choose: ChooseColumns) -> Iterator[TableRow]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise needs_extra("parquet", "pyarrow", DatasetError, where=str(file)) from None
    with opened(file) as content:
        try:
            packed = content.seek(0, io.SEEK_END)
            content.seek(0)
            schema = parquet.ParquetFile(content).schema_arrow
            chosen = choose(schema.names)
            columns = [name for name in chosen if name is not None]
            texts = [field.name for field in schema if field.name in columns and pa.types.is_string(field.type)]
            # As dictionaries: in a batch of plain values, one long text that repeats would stand in memory each time.
            table = parquet.ParquetFile(content, read_dictionary=texts)
            check_unpacked(sum(_unpacked_sizes(table.metadata)), packed)
            number, length = 1, 0
            for batch in table.iter_batches(BATCH_ROWS, columns=columns):
                # Whole columns are converted at once: cell by cell takes minutes for a corpus of millions.
                absent = [None] * batch.num_rows
                values = [absent if name is None else _values(batch.column(name)) for name in chosen]
                length += sum(len(value) for column in values for value in column if isinstance(value, str | bytes))
                check_unpacked(length, packed)
                yield from enumerate(zip(*values, strict=True), number)
                number += batch.num_rows
        except TooLargeError as error:
            raise DatasetError(str(error), where=str(file), fix=error.FIX) from None
        except (pa.ArrowException, OSError, MemoryError) as error:
            raise DatasetError(f"cannot be read as Parquet: {error}", where=str(file)) from None


def _unpacked_sizes(metadata: Any) -> Iterator[int]:
    """Yield the bytes that each group of rows unpacks to, by a file's own account."""
    return (max(0, metadata.row_group(number).total_byte_size) for number in range(metadata.num_row_groups))


def _values(column: Any) -> list[Any]:
    """Return a column's values; equal ones of a dictionary are one object."""
    if not hasattr(column, "dictionary"):
        return list(column.to_pylist())
    words = column.dictionary.to_pylist()
    return [None if index is None else words[index] for index in column.indices.to_pylist()]


_READERS: dict[str, Callable[[Traversable, ChooseColumns], Iterator[TableRow]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
}
"""Readers of the formats with a header; JSON lines name their columns in each line."""


SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz", ".tsv.gz", ".jsonl.gz")
"""Endings of the names of tables. Parquet is compressed inside, so that nobody compresses it again."""


def choose_columns(where: str, header: Sequence[str], columns: Sequence[Column]) -> list[str | None]:
    """Return each column's name in this table; None for an optional column that the table lacks.

    Raises:
        DatasetError: a required column is missing.
    """
    # Of two columns that differ only in case or separator the first one counts, hence reversed.
    by_plain_name = {plain_name(name): name for name in reversed(header)}
    chosen = []
    for column in columns:
        matches = (by_plain_name[plain_name(name)] for name in column.names if plain_name(name) in by_plain_name)
        match = next(matches, None)
        if match is None and column.required:
            shown = ", ".join(map(repr, header)) or "nothing"
            others = f" (or {', '.join(column.names[1:])})" if column.names[1:] else ""
            problem = f"no column {column.names[0]!r}; its header has {shown}"
            fix = separator_fix(header) or f"name the column {column.names[0]}{others}"
            raise DatasetError(problem, where=where, fix=fix)
        chosen.append(match)
    return chosen


def plain_name(name: str) -> str:
    """Return a column's name in lower case, with ``-`` between its words."""
    return name.strip().casefold().replace("_", "-").replace(" ", "-")
