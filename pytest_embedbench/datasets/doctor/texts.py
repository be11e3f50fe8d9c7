"""Findings about texts: empty ones, copies, and queries that are the whole text of a document."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

from pytest_embedbench.datasets.types import Dataset, Finding, Level

MAX_PLAIN_RATIO = 4
"""Documents longer than this many times the longest query, in its plain form, cannot be a query and are skipped:
normalizing all of them would take most of the time of a large corpus's findings."""

MIN_OWN_LENGTH = 60
"""Characters of a query that a document with its id has to end in: the end of a document holds a few words, such as
``kettle``, by chance, and ids may be equal numbers. ArguAna's queries are paragraphs."""


def text_findings(dataset: Dataset) -> list[Finding]:
    """Return findings about the documents' texts and those of the queries that are ranked."""
    ids = dataset.ranked_queries
    texts = [dataset.query_text[query] for query in ids]
    return [
        *_empty(
            "documents",
            dataset.doc_ids,
            dataset.doc_texts,
            "documents are empty; they are kept: encoded as an empty text, or ranked last behind an endpoint",
            "remove them, or restore their texts",
            "warning",
        ),
        *_repeated(
            "repeated-texts",
            dataset.doc_ids,
            dataset.doc_texts,
            "documents repeat another one's text; each text is encoded once, and equal scores are ties",
            "keep one of each, or make sure that judgments name every copy",
        ),
        *_empty(
            "queries",
            ids,
            texts,
            "queries are empty; they are kept in the means: they retrieve by chance, or nothing behind an endpoint",
            "remove their judgments, or restore their texts",
            "error",
        ),
        *_repeated(
            "repeated-query-texts",
            ids,
            texts,
            "queries repeat another one's text; each counts in the means",
            "merge their judgments under one id, unless the question is meant to count more than once",
        ),
        *_leaked(dataset, ids, texts),
        *_own_documents(dataset),
    ]


def _empty(kind: str, ids: Sequence[str], texts: Sequence[str], message: str, fix: str, level: Level) -> list[Finding]:
    empty = [key for key, text in zip(ids, texts, strict=True) if not text.strip()]
    if not empty:
        return []
    return [Finding(code=f"empty-{kind}", message=message, count=len(empty), first=empty[0], level=level, fix=fix)]


def _repeated(code: str, ids: Sequence[str], texts: Sequence[str], message: str, fix: str) -> list[Finding]:
    """Return a finding that counts the texts that could be removed; its first case is the text that others repeat."""
    # Exact copies only: these are what encoding does once and scoring ties.
    copies = Counter(texts)
    surplus = len(texts) - len(copies)
    if not surplus:
        return []
    first = next(key for key, text in zip(ids, texts, strict=True) if copies[text] > 1)
    return [Finding(code=code, message=message, count=surplus, first=first, fix=fix)]


def _leaked(dataset: Dataset, ids: Sequence[str], texts: Sequence[str]) -> list[Finding]:
    """Return a finding for queries that are also a document: every model ranks that document first, right or wrong."""
    queries = {query: plain for query, text in zip(ids, texts, strict=True) if (plain := _plain(text))}
    wanted = set(queries.values())
    max_length = MAX_PLAIN_RATIO * max(map(len, wanted), default=0)
    copies: dict[str, list[str]] = {}
    for doc, text in zip(dataset.doc_ids, dataset.doc_texts, strict=True):
        if len(text) <= max_length and (plain := _plain(text)) in wanted:
            copies.setdefault(plain, []).append(doc)
    leaked = []
    for query, plain in queries.items():
        # With drop_self a document with the query's own id is not in the ranking.
        docs = [doc for doc in copies.get(plain, []) if not (dataset.drop_self and doc == query)]
        if docs:
            judged = dataset.qrels.get(query, {})
            leaked.append((query, docs[0], any(judged.get(doc, 0) > 0 for doc in docs)))
    if not leaked:
        return []
    judged_relevant = sum(relevant for *_, relevant in leaked)
    query, doc, relevant = leaked[0]
    counts = f"{judged_relevant:,} of them and not for {len(leaked) - judged_relevant:,}"
    detail = f"; that document is judged relevant for {counts}" if dataset.qrels else ""
    fix = "remove these documents from the corpus"
    if dataset.drop_self or any(query != doc for query, doc, _ in leaked):
        fix += "; if each has its query's id, drop_self = true does that"
    else:
        key = f"drop_self = true in [datasets.{dataset.name}]"
        fix += f", or set {key}: each of them has its query's id"
        detail += f"; {key} leaves them out"
    return [
        Finding(
            code="leaked-queries",
            message=f"queries are the whole text of a document, which every model ranks first{detail}",
            count=len(leaked),
            first=f"query {query}, document {doc} ({'relevant' if relevant else 'not relevant'})",
            level="error",
            fix=fix,
        )
    ]


def _own_documents(dataset: Dataset) -> list[Finding]:
    """Return a finding for documents that have a query's id and end in its text, after a title (ArguAna).

    Documents that are the query's whole text are ``_leaked``'s. Equal ids alone mean nothing: both may be numbers.
    """
    if dataset.drop_self:
        return []
    docs = {
        doc: text for doc, text in zip(dataset.doc_ids, dataset.doc_texts, strict=True) if doc in dataset.query_text
    }
    own = []
    for query in dataset.ranked_queries:
        text, doc = _plain(dataset.query_text[query]), _plain(docs.get(query, ""))
        relevant = dataset.qrels.get(query, {}).get(query, 0) > 0
        if len(text) >= MIN_OWN_LENGTH and text != doc and doc.endswith(text) and not relevant:
            own.append(query)
    if not own:
        return []
    return [
        Finding(
            code="documents-of-queries",
            message=(
                "queries have a document with their own id that ends in their text: models rank it first; "
                f"drop_self = true in [datasets.{dataset.name}] leaves it out"
            ),
            count=len(own),
            first=own[0],
            level="error",
            fix=f"set drop_self = true in [datasets.{dataset.name}]: it is dropped from its own query's ranking",
        )
    ]


def _plain(text: str) -> str:
    """Return the text without differences in case, white space and compatible characters (Unicode NFKC)."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
