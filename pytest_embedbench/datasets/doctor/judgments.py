"""Findings about judgments: ids that do not exist, queries without a relevant document, odd grades."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pytest_embedbench.datasets.types import Dataset, Finding, Level


class _Check(NamedTuple):
    """A check and its cases; it is a finding if there are any."""

    code: str
    cases: Sequence[str]
    message: str
    fix: str
    level: Level = "warning"


def judgment_findings(dataset: Dataset) -> list[Finding]:
    """Return findings where judgments and texts do not fit together; they count distinct queries or documents."""
    if not dataset.qrels:
        message = "no judgments: quality cannot be scored; load profiles and pairwise judging can"
        fix = "add judgments for scores; without them, compare models with embedbench judge"
        return [Finding(code="no-judgments", message=message, count=len(dataset.query_ids), fix=fix)]
    return [
        Finding(
            code=check.code,
            message=check.message,
            count=len(check.cases),
            first=check.cases[0],
            level=check.level,
            fix=check.fix,
        )
        for check in (*_missing(dataset), *_unscored(dataset), *_grades(dataset))
        if check.cases
    ]


def _missing(dataset: Dataset) -> list[_Check]:
    queries, docs = set(dataset.query_ids), set(dataset.doc_ids)
    missing: dict[str, bool] = {}
    """Judged documents that are not in the corpus -> whether a query has them as relevant."""
    for judged in dataset.qrels.values():
        for doc, grade in judged.items():
            if doc not in docs:
                missing[doc] = missing.get(doc, False) or grade > 0
    return [
        _Check(
            "missing-judged-queries",
            [query for query in dataset.qrels if query not in queries],
            "judged queries are not among the queries; they are left out of the means",
            "add them, or remove their judgments: until then scores are of other data",
            "error",
        ),
        _Check(
            # nDCG's ideal ranking, MAP and recall count all relevant documents, so that these lower the scores.
            "missing-judged-documents",
            [doc for doc, relevant in missing.items() if relevant],
            "relevant documents are not in the corpus; they count as relevant, but no ranking can find them",
            "add them, or remove their judgments: until then scores are too low",
            "error",
        ),
        _Check(
            "missing-irrelevant-documents",
            [doc for doc, relevant in missing.items() if not relevant],
            "documents that are judged not relevant are not in the corpus; no score depends on that",
            "add them: without them the task is easier than the one that was judged",
        ),
    ]


def _unscored(dataset: Dataset) -> list[_Check]:
    qrels, judged = dataset.qrels, [query for query in dataset.query_ids if query in dataset.qrels]
    scored = set(dataset.judged_queries)
    return [
        _Check(
            "unjudged-queries",
            [query for query in dataset.query_ids if query not in qrels and query not in dataset.judged_elsewhere],
            "queries have no judgment; they are left out of the means",
            "judge or remove them",
        ),
        _Check(
            "queries-without-positive",
            [query for query in judged if query not in scored],
            "judged queries have no relevant document; they are left out of the means",
            "judge more documents for them, or remove them",
        ),
    ]


def _grades(dataset: Dataset) -> list[_Check]:
    nothing_relevant = not any(grade > 0 for judged in dataset.qrels.values() for grade in judged.values())
    return [
        _Check(
            "negative-grades",
            [query for query, judged in dataset.qrels.items() if any(grade < 0 for grade in judged.values())],
            "queries have grades below zero; these count as not relevant",
            "write 0 where a document is not relevant; if lower grades are better here, reverse the scale",
        ),
        _Check(
            "nothing-relevant",
            [f"{query} {doc}" for query, judged in dataset.qrels.items() for doc in judged] if nothing_relevant else [],
            "judgments, but none is above zero: nothing can be scored",
            "write 1 or more where a document is relevant, and check that the last column is the grade",
            "error",
        ),
    ]
