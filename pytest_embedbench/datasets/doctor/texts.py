"""Findings about texts: empty ones, copies, and queries that are a document's own text."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

from pytest_embedbench.datasets.types import Dataset, Finding, Level

PLAIN_MOST = 4
"""How many times its plain form a text may be long, to be looked at: most documents are too long to be a query, and
making each of them plain would be all that the findings of a large corpus take."""


def text_findings(dataset: Dataset) -> list[Finding]:
    """What is wrong with the documents' texts and with those of the queries that are ranked."""
    ids = dataset.ranked_queries
    texts = [dataset.query_text[query] for query in ids]
    return [
        *_empty(
            "documents",
            dataset.doc_ids,
            dataset.doc_texts,
            "documents are empty; they are kept, and encoded as an empty text",
            "remove them, or restore their texts",
            "warning",
        ),
        *_repeated(
            "repeated-texts",
            dataset.doc_ids,
            dataset.doc_texts,
            "documents repeat another one's text; each text is encoded once, and equal scores are ties",
            "keep one of each, or see to it that judgments name every copy",
        ),
        *_empty(
            "queries",
            ids,
            texts,
            "queries are empty; they are kept in the means, and what they find is chance",
            "remove their judgments, or restore their texts",
            "error",
        ),
        *_repeated(
            "repeated-query-texts",
            ids,
            texts,
            "queries repeat another one's text; each counts in the means",
            "merge their judgments under one id, unless the same question is meant to count more than once",
        ),
        *_leaked(dataset, ids, texts),
    ]


def _empty(what: str, ids: Sequence[str], texts: Sequence[str], message: str, fix: str, level: Level) -> list[Finding]:
    empty = [key for key, text in zip(ids, texts, strict=True) if not text]
    if not empty:
        return []
    return [Finding(code=f"empty-{what}", message=message, count=len(empty), first=empty[0], level=level, fix=fix)]


def _repeated(code: str, ids: Sequence[str], texts: Sequence[str], message: str, fix: str) -> list[Finding]:
    """Counts those that could go; the first is the one that others repeat."""
    copies = Counter(texts)
    surplus = len(texts) - len(copies)
    if not surplus:
        return []
    first = next(key for key, text in zip(ids, texts, strict=True) if copies[text] > 1)
    return [Finding(code=code, message=message, count=surplus, first=first, fix=fix)]


def _leaked(dataset: Dataset, ids: Sequence[str], texts: Sequence[str]) -> list[Finding]:
    """Queries that stand in the corpus as a document: any model ranks that document first, right or wrong."""
    queries = {query: plain for query, text in zip(ids, texts, strict=True) if (plain := _plain(text))}
    wanted = set(queries.values())
    longest = PLAIN_MOST * max(map(len, wanted), default=0)
    twins: dict[str, list[str]] = {}
    for doc, text in zip(dataset.doc_ids, dataset.doc_texts, strict=True):
        if len(text) <= longest and (plain := _plain(text)) in wanted:
            twins.setdefault(plain, []).append(doc)
    leaked = []
    for query, plain in queries.items():
        # A document with the query's own id is out of the ranking where the dataset asks for that.
        docs = [doc for doc in twins.get(plain, []) if not (dataset.drop_self and doc == query)]
        if docs:
            judged = dataset.qrels.get(query, {})
            leaked.append((query, docs[0], any(judged.get(doc, 0) > 0 for doc in docs)))
    if not leaked:
        return []
    given = sum(relevant for *_, relevant in leaked)
    query, doc, relevant = leaked[0]
    judged_so = f"; that document is judged relevant for {given:,} of them and not for {len(leaked) - given:,}"
    return [
        Finding(
            code="leaked-queries",
            message="queries are the whole text of a document, which every model ranks first"
            + (judged_so if dataset.qrels else ""),
            count=len(leaked),
            first=f"query {query}, document {doc} ({'relevant' if relevant else 'not relevant'})",
            level="error",
            fix="take these documents out of the corpus; if each has its query's id, drop_self = true does that",
        )
    ]


def _plain(text: str) -> str:
    """The text with compatible characters, case and white space made alike."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
