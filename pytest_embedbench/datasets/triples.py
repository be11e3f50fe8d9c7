"""Read a table of queries with their documents: the quickest way to a dataset of one's own.

One row is one judgment. Its columns are one of these combinations, each column under any of its names below:

- ``query, document, score``: the score is a whole number, above zero for relevant documents;
- ``question, answer``: without a score each document is relevant to its query;
- ``query, positive, negative``: the negative is in the corpus too, and is judged not relevant.

Such a table has no ids. Equal texts are one document (or one query), and a text's id is computed from the text: it
stays the same when rows are added or removed, so that per-query scores can be compared with those of an earlier table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.resources.abc import Traversable

from pytest_embedbench.datasets.gather import DatasetContent, collect_judgments, whole_grade
from pytest_embedbench.datasets.reader import Reader, refuse_split
from pytest_embedbench.datasets.spec import DatasetSpec, dataset_path
from pytest_embedbench.datasets.tables import Column, is_table, read_table
from pytest_embedbench.datasets.types import Finding
from pytest_embedbench.errors import DatasetError

QUERY = Column(("query", "question", "anchor", "query_text"))
DOCUMENT = Column(("document", "answer", "positive", "passage", "document_text", "doc", "text"))
SCORE = Column(("score", "label", "relevance", "grade", "rating"), required=False)
NEGATIVE = Column(("negative",), required=False)

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
    qrels = collect_judgments(_judgments(file, docs, queries), findings)
    if not qrels:
        raise DatasetError("has no row below its header", where=str(file))
    return DatasetContent(docs, queries, qrels, findings)


def _judgments(file: Traversable, docs: dict[str, str], queries: dict[str, str]) -> Iterator[tuple[str, str, int]]:
    """Yield judgments row by row, and add their texts to ``docs`` and ``queries``."""
    for number, (query, document, score, negative) in read_table(file, (QUERY, DOCUMENT, SCORE, NEGATIVE)):
        where = f"{file}:{number}"
        if score is not None and negative is not None:
            raise DatasetError("both a score and a negative", where=where, fix="give one of the two columns")
        query_id = _add(query, "query", queries, where)
        yield query_id, _add(document, "document", docs, where), whole_grade(1 if score is None else score, where)
        if negative is not None:
            yield query_id, _add(negative, "negative", docs, where), 0


def _add(text: object, kind: str, texts: dict[str, str], where: str) -> str:
    """Add a text to ``texts`` under the id that is computed from it; return the id."""
    if not isinstance(text, str) or not text.strip():
        problem = "empty" if text is None or isinstance(text, str) else f"not a text but {text!r}"
        raise DatasetError(f"the {kind} is {problem}", where=where, fix="fill it in or leave the row out")
    stripped = text.strip()
    # A file may hold lone surrogates (JSON allows "\ud800"), which UTF-8 cannot encode otherwise.
    key = hashlib.sha256(stripped.encode("utf-8", "surrogatepass")).hexdigest()[: 2 * ID_BYTES]
    texts.setdefault(key, stripped)
    return key
