"""Read a table of queries with their documents: the quickest way to a dataset of one's own.

One row is one judgment. Columns, known by the names below:

- ``query, document, score``: the score is a whole number, above zero for relevant documents;
- ``question, answer``: no score: each document is relevant to its query;
- ``query, positive, negative``: the negative is in the corpus too, and judged not relevant.

Texts have no ids in such a table. Equal texts are one document (or one query), and a text's id is made of the text, so
that it stays the same when rows come and go: per-query scores can be compared with those of an earlier table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.resources.abc import Traversable

from pytest_embedbench.datasets.gather import Content, collect_judgments, whole_grade
from pytest_embedbench.datasets.tables import Column, read_table
from pytest_embedbench.datasets.types import Finding
from pytest_embedbench.errors import DatasetError

QUERY = Column(("query", "question", "anchor", "query_text"))
DOCUMENT = Column(("document", "answer", "positive", "passage", "document_text", "doc", "text"))
SCORE = Column(("score", "label", "relevance", "grade", "rating"), required=False)
NEGATIVE = Column(("negative",), required=False)

ID_BYTES = 8
"""64 bits of the text's sha256: of ten million texts, two share an id with a probability of 3 in a million."""


def read_triples(file: Traversable) -> Content:
    """Read the table.

    Raises:
        DatasetError: a column is missing or a row is malformed; names the file and the row.
    """
    docs: dict[str, str] = {}
    queries: dict[str, str] = {}
    findings: list[Finding] = []
    qrels = collect_judgments(_judgments(file, docs, queries), findings)
    if not qrels:
        raise DatasetError(f"{file}: holds no row below its header")
    return Content(docs, queries, qrels, findings)


def _judgments(file: Traversable, docs: dict[str, str], queries: dict[str, str]) -> Iterator[tuple[str, str, int]]:
    """Judgments row by row; their texts are put into ``docs`` and ``queries``."""
    for number, (query, document, score, negative) in read_table(file, (QUERY, DOCUMENT, SCORE, NEGATIVE)):
        where = f"{file}:{number}"
        if score is not None and negative is not None:
            raise DatasetError(f"{where}: both a score and a negative; give one of the two columns")
        key = _filed(query, "query", queries, where)
        yield key, _filed(document, "document", docs, where), whole_grade(1 if score is None else score, where)
        if negative is not None:
            yield key, _filed(negative, "negative", docs, where), 0


def _filed(text: object, kind: str, texts: dict[str, str], where: str) -> str:
    """The id of a text, which is kept under it."""
    if not isinstance(text, str) or not text.strip():
        problem = "empty" if text is None or isinstance(text, str) else f"not a text but {text!r}"
        raise DatasetError(f"{where}: the {kind} is {problem}; fill it in or leave the row out")
    stripped = text.strip()
    key = hashlib.sha256(stripped.encode("utf-8", "surrogatepass")).hexdigest()[: 2 * ID_BYTES]
    texts.setdefault(key, stripped)
    return key
