"""What a retrieval dataset is, once loaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import msgspec

Qrels = dict[str, dict[str, int]]
"""Judgments: query id -> document id -> grade. Grades above zero are relevant, the others are not."""


Level = Literal["error", "warning"]
"""Of a finding: scores are wrong by it or of other data than the files say; or scores mean what they say, yet it is
worth knowing."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something about a dataset's files that its user should know.

    ``code`` is stable (``missing-judged-documents``), ``count`` says how many, ``first`` shows the first one, ``fix``
    says what to do.
    """

    code: str
    message: str
    count: int
    first: str = ""
    level: Level = "warning"
    fix: str = ""


class DatasetFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a card says of a dataset beyond its counts; every field may be absent (empty)."""

    domain: str = ""
    task: str = "retrieval"
    language: str = ""
    languages: list[str] = []
    """MTEB's codes, e.g. ``eng-Latn``."""
    description: str = ""
    reference: str = ""
    licence: str = ""
    mteb_task: str = ""
    """Name of the MTEB task with the same corpus, queries and judgments; published values compare with it."""
    hub_dataset: str = ""
    """The same data on the Hub, e.g. ``mteb/nfcorpus``: where it is loaded from unless there is a ``path``, and what
    exports to the Hub name."""
    instruction: str = ""
    """What a query asks for, in one sentence: instructed models put it into their prompt."""


@dataclass(frozen=True)
class Dataset:
    """A corpus, its queries and their judgments.

    ``doc_texts`` are what a model encodes: title, one space, text, stripped (as BEIR and MTEB do).
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
    """Drop a document that carries the query's own id from that query's ranking (ArguAna, Quora)."""
    revision: str = ""
    judged_elsewhere: frozenset[str] = frozenset()
    """Queries that another split judges: that this one does not is as it should be."""

    @cached_property
    def judged_queries(self) -> list[str]:
        """Ids of the queries that can be scored (present, with a positive judgment), in the file's order."""
        return [q for q in self.query_ids if any(grade > 0 for grade in self.qrels.get(q, {}).values())]

    @cached_property
    def ranked_queries(self) -> list[str]:
        """Ids of the queries that an evaluation ranks: those it can score, or all where nothing is judged.

        A ranking without judgments has no score, but models can still be compared by it.
        """
        return self.judged_queries or self.query_ids

    @cached_property
    def query_text(self) -> dict[str, str]:
        """Text by query id."""
        return dict(zip(self.query_ids, self.query_texts, strict=True))

    @cached_property
    def unique_texts(self) -> int:
        """Number of distinct document texts; identical texts are encoded once."""
        return len(set(self.doc_texts))

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over ids, texts and judgments: equal exactly when an evaluation sees the same data."""
        digest = hashlib.sha256()

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


Role = Literal["query", "document"]


ROLES: tuple[Role, Role] = ("query", "document")
