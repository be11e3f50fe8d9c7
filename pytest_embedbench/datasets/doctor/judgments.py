"""Findings about judgments: ids that are not there, queries without a relevant document, odd grades."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pytest_embedbench.datasets.types import Dataset, Finding, Level


class _Case(NamedTuple):
    code: str
    cases: Sequence[str]
    message: str
    fix: str
    level: Level = "warning"


def judgment_findings(dataset: Dataset) -> list[Finding]:
    """What judgments and texts say against each other; counts are of distinct queries or documents."""
    if not dataset.qrels:
        message = "no judgments: quality cannot be scored; load profiles and pairwise judging can"
        fix = "add judgments for scores; without them, compare models with embedbench judge"
        return [Finding(code="no-judgments", message=message, count=len(dataset.query_ids), fix=fix)]
    return [
        Finding(
            code=one.code, message=one.message, count=len(one.cases), first=one.cases[0], level=one.level, fix=one.fix
        )
        for one in (*_missing(dataset), *_unscored(dataset), *_grades(dataset))
        if one.cases
    ]


def _missing(dataset: Dataset) -> list[_Case]:
    queries, docs = set(dataset.query_ids), set(dataset.doc_ids)
    lost: dict[str, bool] = {}
    """Judged documents that are not in the corpus: is one relevant?"""
    for judged in dataset.qrels.values():
        for doc, grade in judged.items():
            if doc not in docs:
                lost[doc] = lost.get(doc, False) or grade > 0
    return [
        _Case(
            "missing-judged-queries",
            [query for query in dataset.qrels if query not in queries],
            "judged queries are not among the queries; they are left out of the means",
            "add them, or remove their judgments: until then scores are those of other data",
            "error",
        ),
        _Case(
            "missing-judged-documents",
            [doc for doc, relevant in lost.items() if relevant],
            "judged documents are not in the corpus; they count as relevant that no ranking can find",
            "add them, or remove their judgments: until then scores are too low",
            "error",
        ),
        _Case(
            "missing-irrelevant-documents",
            [doc for doc, relevant in lost.items() if not relevant],
            "documents that are judged not relevant are not in the corpus; no score changes by that",
            "add them, for a task as hard as it was judged to be",
        ),
    ]


def _unscored(dataset: Dataset) -> list[_Case]:
    qrels, judged = dataset.qrels, [query for query in dataset.query_ids if query in dataset.qrels]
    found = {query for query in judged if any(grade > 0 for grade in qrels[query].values())}
    return [
        _Case(
            "unjudged-queries",
            [query for query in dataset.query_ids if query not in qrels and query not in dataset.judged_elsewhere],
            "queries have no judgment; they are left out of the means",
            "judge or remove them",
        ),
        _Case(
            "queries-without-positive",
            [query for query in judged if query not in found],
            "judged queries have no relevant document; they are left out of the means",
            "judge more documents for them, or remove them",
        ),
    ]


def _grades(dataset: Dataset) -> list[_Case]:
    grades = {grade for judged in dataset.qrels.values() for grade in judged.values()}
    nothing = max(grades) <= 0
    return [
        _Case(
            "negative-grades",
            [query for query, judged in dataset.qrels.items() if any(grade < 0 for grade in judged.values())],
            "queries have grades below zero; these count as not relevant",
            "write 0 where a document is not relevant; if a low grade means better here, turn the scale around",
        ),
        _Case(
            "nothing-relevant",
            [f"{query} {doc}" for query, judged in dataset.qrels.items() for doc in judged] if nothing else [],
            "judgments, and not one above zero: nothing can be scored",
            "write 1 or more where a document is relevant; is the last column the grade?",
            "error",
        ),
    ]
