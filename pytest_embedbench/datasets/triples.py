"""Read a table of queries with their documents: the quickest way to a dataset of one's own.

One row is one judgment. Its columns are one of these combinations, each column under any of its names below:

- ``query, document, score``: the score is a whole number, above zero for relevant documents;
- ``question, answer``: without a score each document is relevant to its query;
- ``query, positive, negative``: the negative is in the corpus too, and is judged not relevant. There may be several,
  ``negative_1, negative_2``, or a list of them, ``negatives``.

Such a table has no ids. Equal texts are one document (or one query), and a text's id is computed from the text: it
stays the same when rows are added or removed, so that per-query scores can be compared with those of an earlier table.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

from pytest_embedbench.datasets.gather import DatasetContent, collect_judgments, not_a_text, whole_grade
from pytest_embedbench.datasets.reader import Reader, refuse_split
from pytest_embedbench.datasets.spec import DatasetSpec, dataset_path
from pytest_embedbench.datasets.tables import Column, choose_columns, is_table, plain_name, read_records
from pytest_embedbench.datasets.types import Finding
from pytest_embedbench.errors import DatasetError

QUERY = Column(("query", "question", "anchor", "query_text"))
DOCUMENT = Column(("document", "answer", "positive", "passage", "document_text", "doc", "text"))
SCORE = Column(("score", "label", "relevance", "grade", "rating"), required=False)
NEGATIVE = re.compile(r"(hard-)?neg(ative)?s?-?\d*")
"""Names of columns with negatives: ``negative``, ``negative_1``, ``hard_negative``, ``negatives``, ``neg``."""
LEFT_ASIDE = re.compile(r"(hard-)?(neg|pos(itive)?|document|passage|answer|doc)\b(?!.*\bid$).*|.*\bnegatives?\b.*")
"""Names of columns that are probably meant to be in the corpus too, where they are not read."""

ID_BYTES = 8
"""Bytes of a text's sha256 that are its id. Two of ten million texts share one with a probability of 3 in a million."""


class TriplesReader(Reader):
    """Datasets in a single table."""

    def reads(self, spec: DatasetSpec) -> bool:
        return bool(spec.path) and is_table(dataset_path(spec).name)

    def read(self, spec: DatasetSpec) -> DatasetContent:
        return read_triples(dataset_path(spec))

    def check(self, spec: DatasetSpec) -> None:
        path = dataset_path(spec)
        if not path.is_file():
            fix = "give a table with the columns query, document and score"
            raise DatasetError("no such file", where=str(path), fix=fix)
        refuse_split(spec, str(path), "a table is used as a whole")

    def reads_file(self, name: str) -> bool:
        return is_table(name)


def read_triples(file: Traversable) -> DatasetContent:
    """Read a table of queries with their documents.

    Raises:
        DatasetError: a column is missing, a row is malformed, or there are no rows; names the file and the row.
    """
    docs: dict[str, str] = {}
    queries: dict[str, str] = {}
    findings: list[Finding] = []
    qrels = collect_judgments(_judgments(file, docs, queries, findings), findings)
    if not qrels:
        raise DatasetError("has no row below its header", where=str(file))
    return DatasetContent(docs, queries, qrels, findings, judgments_from=str(file))


class _Columns(NamedTuple):
    """Names of the columns in one table, or of the keys in one line of JSON lines."""

    query: str
    document: str
    score: str | None
    negatives: tuple[str, ...]


def _columns(header: Sequence[str], where: str) -> _Columns:
    """Return the names of the columns.

    Raises:
        DatasetError: there is no query or no document.
    """
    query, document, score = choose_columns(where, header, (QUERY, DOCUMENT, SCORE))
    negatives = tuple(name for name in header if NEGATIVE.fullmatch(plain_name(name)))
    return _Columns(query or "", document or "", score, negatives)


def _used(columns: _Columns) -> list[str]:
    return [name for name in (columns.query, columns.document, columns.score) if name] + list(columns.negatives)


def _judgments(
    file: Traversable, docs: dict[str, str], queries: dict[str, str], findings: list[Finding]
) -> Iterator[tuple[str, str, int]]:
    """Yield judgments row by row, and add their texts to ``docs`` and ``queries``."""
    header: Sequence[str] = ()

    def choose(names: Sequence[str]) -> list[str]:
        nonlocal header
        header = tuple(names)
        findings.extend(_left_aside(header, _columns(header, str(file)), file.name))
        return _used(_columns(header, str(file)))

    by_keys: dict[tuple[str, ...], _Columns] = {}
    scored: bool | None = None
    for number, record in read_records(file, choose):
        where = f"{file}:{number}"
        if not header:  # JSON lines, whose first line stands for the header
            choose(tuple(record))
        keys = tuple(record)
        if keys not in by_keys:
            by_keys[keys] = _columns(keys, where)
        columns = by_keys[keys]
        scored = columns.score is not None if scored is None else scored
        if scored != (columns.score is not None):
            problem = "no score, which the first line has" if scored else "a score, which the first line lacks"
            raise DatasetError(problem, where=where, fix="give each line a score, or none of them")
        negatives = _negatives(record, columns.negatives)
        if scored and negatives:
            raise DatasetError("both a score and a negative", where=where, fix="give one of the two columns")
        query_id = _add(record[columns.query], "query", queries, where)
        grade = 1 if columns.score is None else record[columns.score]
        yield query_id, _add(record[columns.document], "document", docs, where), whole_grade(grade, where)
        for negative in negatives:
            yield query_id, _add(negative, "negative", docs, where), 0


def _negatives(record: dict[str, Any], names: Sequence[str]) -> list[object]:
    """Return a row's negatives: the cells of its columns, or the entries of a list."""
    cells = [record[name] for name in names]
    negatives = [entry for cell in cells for entry in (cell if isinstance(cell, list) else [cell])]
    # Rows may have fewer negatives than the table has columns for them; of a single column a blank cell is an error.
    blanks = (None, "") if len(names) > 1 else (None,)
    return [negative for negative in negatives if negative not in blanks]


def _left_aside(header: Sequence[str], columns: _Columns, name: str) -> list[Finding]:
    """Return a finding if columns are not read, though their names are those of documents."""
    aside = [column for column in header if column not in _used(columns) and LEFT_ASIDE.fullmatch(plain_name(column))]
    if not aside:
        return []
    message = f"columns of {name} are not read, though their names are those of documents: {', '.join(aside)}"
    fix = "name negatives negative_1, negative_2 ..., and give further relevant documents rows of their own"
    return [Finding(code="columns-left-aside", message=message, count=len(aside), first=aside[0], fix=fix)]


def _add(text: object, kind: str, texts: dict[str, str], where: str) -> str:
    """Add a text to ``texts`` under the id that is computed from it; return the id."""
    if not isinstance(text, str) or not text.strip():
        if not isinstance(text, str | None):
            raise not_a_text(text, kind, where)
        raise DatasetError(f"the {kind} is empty", where=where, fix="fill it in or leave the row out")
    stripped = text.strip()
    # A file may hold lone surrogates (JSON allows "\ud800"), which UTF-8 cannot encode otherwise.
    key = hashlib.sha256(stripped.encode("utf-8", "surrogatepass")).hexdigest()[: 2 * ID_BYTES]
    texts.setdefault(key, stripped)
    return key
