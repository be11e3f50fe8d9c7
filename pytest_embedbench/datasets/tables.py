"""Rows of a table, whatever its format: CSV, TSV, JSON lines, Parquet. Columns are known by several names.

Parquet is read in batches of columns, so that a corpus of millions of rows costs neither its size in memory nor a
Python object for every cell that nobody asked for.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

import msgspec

from pytest_embedbench.datasets.files import lines, opened
from pytest_embedbench.errors import DatasetError

BATCH_ROWS = 65_536
LONGEST_CELL = 2**31 - 1
"""In characters; csv's own limit of 131,072 is less than long documents have."""

Row = tuple[int, tuple[Any, ...]]
"""A row's number (a line's, or in Parquet that of the row, from 1) and its values; None where a column is absent."""


class Column(NamedTuple):
    """A column that is wanted, under any of its names; case and the kind of word separator do not matter."""

    names: tuple[str, ...]
    required: bool = True


def is_table(name: str) -> bool:
    """Does a file of this name hold a table?"""
    return _suffix(name) in _READERS


def read_table(file: Traversable, columns: Sequence[Column]) -> Iterator[Row]:
    """The table's rows, each with the values of ``columns``, in their order.

    Raises:
        DatasetError: a required column is missing, or a row is malformed; names the file and the row.
    """
    return _READERS[_suffix(file.name)](file, columns)


def _suffix(name: str) -> str:
    return "." + name.removesuffix(".gz").rpartition(".")[2].casefold()


def _read_csv(file: Traversable, columns: Sequence[Column]) -> Iterator[Row]:
    return _read_delimited(file, columns, ",")


def _read_tsv(file: Traversable, columns: Sequence[Column]) -> Iterator[Row]:
    return _read_delimited(file, columns, "\t")


def _read_delimited(file: Traversable, columns: Sequence[Column], delimiter: str) -> Iterator[Row]:
    with opened(file) as content, _long_cells():
        text = io.TextIOWrapper(content, encoding="utf-8-sig", newline="")
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            header = next(reader, [])
            places = [None if name is None else header.index(name) for name in _choose(file, header, columns)]
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    problem = f"{len(row)} columns where the header has {len(header)}"
                    fix = f"put double quotes around texts that hold a {'comma' if delimiter == ',' else 'tab'}"
                    raise DatasetError(f"{file}:{reader.line_num}: {problem}; {fix}")
                yield reader.line_num, tuple(None if place is None else row[place] for place in places)
        except csv.Error as error:
            fix = "double quotes within a text are written twice, and the text stands in quotes"
            raise DatasetError(f"{file}:{reader.line_num}: {error}; {fix}") from None
        except UnicodeDecodeError as error:
            raise DatasetError(f"{file}: not UTF-8 after line {reader.line_num} ({error.reason})") from None


@contextmanager
def _long_cells() -> Iterator[None]:
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _read_json_lines(file: Traversable, columns: Sequence[Column]) -> Iterator[Row]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    chosen: list[str | None] = []
    for number, line in lines(file):
        try:
            record = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise DatasetError(f"{file}:{number}: {error}") from None
        chosen = chosen or _choose(file, list(record), columns)
        for name, column in zip(chosen, columns, strict=True):
            if column.required and name not in record:
                raise DatasetError(f"{file}:{number}: the key {name!r} is missing, which the first line has")
        yield number, tuple(None if name is None else record.get(name) for name in chosen)
    if not chosen:
        raise DatasetError(f"{file}: is empty")


def _read_parquet(file: Traversable, columns: Sequence[Column]) -> Iterator[Row]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise DatasetError(f"{file}: Parquet needs pyarrow; pip install 'pytest-embedbench[parquet]'") from None
    with opened(file) as content:
        try:
            table = parquet.ParquetFile(content)
            chosen = _choose(file, table.schema_arrow.names, columns)
            number = 1
            for batch in table.iter_batches(BATCH_ROWS, columns=[name for name in chosen if name is not None]):
                absent = [None] * batch.num_rows
                values = [absent if name is None else batch.column(name).to_pylist() for name in chosen]
                yield from enumerate(zip(*values, strict=True), number)
                number += batch.num_rows
        except pa.ArrowException as error:
            raise DatasetError(f"{file}: cannot be read as Parquet: {error}") from None


_READERS: dict[str, Callable[[Traversable, Sequence[Column]], Iterator[Row]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_json_lines,
    ".parquet": _read_parquet,
}


SUFFIXES = (*_READERS, *(f"{suffix}.gz" for suffix in _READERS if suffix != ".parquet"))
"""Ends of the names of files that hold a table."""


def _choose(file: Traversable, there: Sequence[str], columns: Sequence[Column]) -> list[str | None]:
    """For each wanted column the name that it has in this table; None where an optional one is absent."""
    by_name = {_plain(name): name for name in reversed(there)}
    chosen = []
    for column in columns:
        found = next((by_name[_plain(name)] for name in column.names if _plain(name) in by_name), None)
        if found is None and column.required:
            shown = ", ".join(map(repr, there)) or "nothing"
            problem = f"no column {column.names[0]!r}; its header has {shown}"
            others = f" (or {', '.join(column.names[1:])})" if column.names[1:] else ""
            raise DatasetError(f"{file}: {problem}; name the column {column.names[0]}{others}")
        chosen.append(found)
    return chosen


def _plain(name: str) -> str:
    return name.strip().casefold().replace("_", "-").replace(" ", "-")
