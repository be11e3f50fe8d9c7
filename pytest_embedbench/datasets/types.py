"""A loaded retrieval dataset, its facts for cards, and findings about it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from textwrap import shorten
from typing import Any, Literal

import msgspec

from pytest_embedbench.core.bounded import Count

Role = Literal["query", "document"]
"""Which of the two a text is: models may encode queries and documents differently, e.g. with different prompts."""

ROLES: tuple[Role, Role] = ("query", "document")

Qrels = dict[str, dict[str, int]]
"""Judgments: query id -> document id -> grade. A document is relevant if its grade is above zero."""

MAX_SHOWN = 60
"""Characters of a title, or of a document's first words, in a message."""

Level = Literal["error", "warning"]
"""``error``: scores are wrong, or are of other data than the files say. ``warning``: scores are right, but the finding
is worth knowing."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something odd about a dataset's files.

    ``code`` names the kind of finding and never changes (``missing-judged-documents``), ``count`` is the number of
    cases, ``first`` shows the first case, ``fix`` says what to do.
    """

    code: str
    message: str
    count: Count
    first: str = ""
    level: Level = "warning"
    fix: str = ""


class DatasetFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Facts about a dataset that a card prints beside its counts; every field may be absent (empty)."""

    domain: str = ""
    task: str = "retrieval"
    language: str = ""
    languages: list[str] = []
    """MTEB's codes, e.g. ``eng-Latn``."""
    description: str = ""
    reference: str = ""
    licence: str = ""
    mteb_task: str = ""
    """Name of the MTEB task with the same corpus, queries and judgments: values published for it can be compared."""
    hub_dataset: str = ""
    """Repository on the Hub with the same data, e.g. ``mteb/nfcorpus``. Without a ``path`` the dataset is loaded from
    it; exports to the Hub name it."""
    instruction: str = ""
    """The task of the queries in one sentence, e.g. "Given a question, retrieve passages that answer it": instructed
    models put it into their prompt."""


@dataclass(frozen=True)
class Dataset:
    """A corpus, its queries and their judgments.

    ``doc_texts`` are the texts that a model encodes: title, one space and text, stripped, as in BEIR and MTEB.
    """

    name: str
    split: str
    doc_ids: list[str]
    doc_texts: list[str]
    query_ids: list[str]
    query_texts: list[str]
    qrels: Qrels
    facts: DatasetFacts = field(default_factory=DatasetFacts)
    findings: tuple[Finding, ...] = ()
    drop_self: bool = False
    """Drop the document with the query's own id from that query's ranking (ArguAna, Quora)."""
    revision: str = ""
    """Commit of the Hub's repository that the files are from; "" for all other sources."""
    judged_elsewhere: frozenset[str] = frozenset()
    """Queries that another split judges: without a judgment in this split they are no finding."""
    judgments_from: str = ""
    """The file or files of the judgments, or where they were looked for; for messages."""
    title_lengths: Mapping[str, int] = field(default_factory=dict)
    """Document id -> characters of its title, at the head of its text; documents without a title are left out."""

    def titles_and_texts(self) -> Iterator[tuple[str, str]]:
        """Yield each document's title, empty if it has none, and its text without the title."""
        for doc, text in zip(self.doc_ids, self.doc_texts, strict=True):
            length = self.title_lengths.get(doc, 0)
            yield text[:length], text[length:].lstrip() if length else text

    def with_doc_texts(self, texts: list[str]) -> Dataset:
        """Return the dataset with other texts of its documents, which have no titles apart from them."""
        return replace(self, doc_texts=texts, title_lengths={})

    @cached_property
    def judged_queries(self) -> list[str]:
        """Ids of the queries that can be scored, those with a relevant document, in the file's order."""
        return [q for q in self.query_ids if any(grade > 0 for grade in self.qrels.get(q, {}).values())]

    def why_unscored(self) -> tuple[str, str]:
        """Return why no query can be scored, and the fix; both "" if some can."""
        if self.judged_queries:
            return "", ""
        # In the order of how much each explains: without any judgment there are no other findings about them.
        codes = ("no-judgments", "nothing-relevant", "missing-judged-queries", "queries-without-positive")
        by_code = {finding.code: finding for finding in self.findings}
        finding = next((by_code[code] for code in codes if code in by_code), None)
        source = f"{self.judgments_from}: " if self.judgments_from else ""
        if finding is None:
            return f"{source}no query has a relevant document", "add judgments"
        if finding.code == "no-judgments" and (aside := by_code.get("files-left-aside")):
            return f"{source}{finding.message}; {aside.message}", aside.fix
        return f"{source}{finding.message}", finding.fix

    @cached_property
    def ranked_queries(self) -> list[str]:
        """Ids of the queries that an evaluation ranks: those that can be scored, or all if none can.

        Rankings without judgments have no score, but models can still be compared by them in pairs.
        """
        return self.judged_queries or self.query_ids

    @cached_property
    def query_text(self) -> dict[str, str]:
        """Texts by query id."""
        return dict(zip(self.query_ids, self.query_texts, strict=True))

    def shown(self, ids: Collection[str]) -> dict[str, str]:
        """Return documents as messages name them, by id: ``d17 'Forgotten password'``, the title or the first words.

        A document that is not in the corpus is named by its id alone.
        """
        wanted = set(ids)
        # One pass over the ids instead of an index, which a large corpus would keep in memory for a few documents.
        texts = {doc: text for doc, text in zip(self.doc_ids, self.doc_texts, strict=True) if doc in wanted}
        named = {}
        for doc in wanted:
            text = texts.get(doc, "")
            words = " ".join((text[: self.title_lengths.get(doc, 0)] or text[: 4 * MAX_SHOWN]).split())
            named[doc] = f"{doc} {shorten(words, MAX_SHOWN, placeholder=' ...')!r}" if words else doc
        return named

    @cached_property
    def blank_documents(self) -> list[str]:
        """Ids of the documents without text, in the file's order."""
        return [doc for doc, text in zip(self.doc_ids, self.doc_texts, strict=True) if not text.strip()]

    def without_blank(self) -> Dataset:
        """Return the dataset with only the documents and queries that have text; the judgments stay."""
        documents = [pair for pair in zip(self.doc_ids, self.doc_texts, strict=True) if pair[1].strip()]
        queries = [pair for pair in zip(self.query_ids, self.query_texts, strict=True) if pair[1].strip()]
        if len(documents) == len(self.doc_ids) and len(queries) == len(self.query_ids):
            return self
        return replace(
            self,
            doc_ids=[doc for doc, _ in documents],
            doc_texts=[text for _, text in documents],
            query_ids=[query for query, _ in queries],
            query_texts=[text for _, text in queries],
        )

    def ids_of_texts(self, role: Role) -> dict[str, str]:
        """Return text -> id of the first document or query with this text."""
        ids, texts = (self.query_ids, self.query_texts) if role == "query" else (self.doc_ids, self.doc_texts)
        first: dict[str, str] = {}
        for key, text in zip(ids, texts, strict=True):
            first.setdefault(text, key)
        return first

    @cached_property
    def unique_texts(self) -> int:
        """Number of distinct document texts; identical texts are encoded once."""
        return len(set(self.doc_texts))

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of ids, texts, judgments and ``drop_self``: equal if and only if an evaluation gets the same data."""
        digest = hashlib.sha256()

        # JSON keeps the parts apart: ("ab", "c") and ("a", "bc") differ. Judgments are sorted, since their order in a
        # file means nothing.
        def feed(*parts: Any) -> None:
            digest.update(msgspec.json.encode(parts))

        for pair in zip(self.doc_ids, self.doc_texts, strict=True):
            feed("d", *pair)
        for pair in zip(self.query_ids, self.query_texts, strict=True):
            feed("q", *pair)
        for query in sorted(self.qrels):
            feed("r", query, sorted(self.qrels[query].items()))
        feed("drop_self", self.drop_self)
        return digest.hexdigest()
