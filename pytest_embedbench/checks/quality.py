"""Quality thresholds, such as ``ndcg@10 >= 0.31``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from pytest_embedbench.checks.verdict import Verdict
from pytest_embedbench.core.measures import Measure
from pytest_embedbench.errors import ProvenFailure
from pytest_embedbench.suite.checks import QualityCheck

WORST = 5
"""Queries shown with a failed threshold."""


class QueryOutcome(NamedTuple):
    """What became of one query: its score, what stood first and where the best judged document stood (0: nowhere)."""

    query_id: str
    text: str
    score: float
    ranked_first: str
    first_relevant_rank: int


def check_quality(
    model: str,
    dataset: str,
    check: QualityCheck,
    means: Mapping[str, float],
    worst: Callable[[Measure], Sequence[QueryOutcome]],
) -> Verdict:
    """Compare a mean with its threshold; without judged queries the check is skipped, never passed.

    ``worst`` gives the queries that a failure shows; it is only asked then.
    """
    name = str(check.measure)
    limit = check.limit
    if name not in means:
        reason = "no query of the dataset has a relevant judged document"
        return Verdict(
            model=model, dataset=dataset, check=name, status="skipped", limit=str(limit or ""), explanation=reason
        )
    value = means[name]
    if limit is None:
        return Verdict(
            model=model, dataset=dataset, check=name, status="measured", measured=f"{value:.4f}", value=value
        )
    holds = limit.holds(value)
    missed = (
        [] if holds else [f"{name} is {value:.4f}, must be {limit.show_bound()}", *show_worst(worst(check.measure))]
    )
    return Verdict(
        model=model,
        dataset=dataset,
        check=name,
        status="passed" if holds else "failed",
        measured=limit.show(value),
        limit=limit.show_bound(),
        value=value,
        explanation="\n".join(missed),
    )


def proven_quality(model: str, dataset: str, check: QualityCheck, failure: ProvenFailure) -> Verdict:
    """The verdict on the threshold whose measure is proven too low, from the most that it can still become.

    A threshold on the same measure that the bound would still allow is not decided, and so skipped.
    """
    assert check.limit is not None  # noqa: S101 - the caller has looked
    missed = not check.limit.holds(failure.bound)
    return Verdict(
        model=model,
        dataset=dataset,
        check=str(check.measure),
        status="failed" if missed else "skipped",
        measured=f"<= {failure.bound:.4f}",
        limit=check.limit.show_bound(),
        explanation=str(failure) if missed else f"the evaluation was ended early: {failure}",
    )


def show_worst(worst: Sequence[QueryOutcome]) -> list[str]:
    """Lines that show the lowest-scoring queries."""
    lines = ["lowest-scoring queries:"] if worst else []
    for outcome in worst[:WORST]:
        rank = outcome.first_relevant_rank
        where = f"first relevant document at rank {rank}" if rank else "no relevant document found"
        lines.append(f"  {outcome.score:.4f}  {outcome.query_id}  {outcome.text[:80]!r}")
        lines.append(f"          ranked first: {outcome.ranked_first or 'nothing'}; {where}")
    return lines
