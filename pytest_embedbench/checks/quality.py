"""Quality thresholds, such as ``ndcg@10 >= 0.31``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from pytest_embedbench.checks.check import Check
from pytest_embedbench.core.measures import Measure
from pytest_embedbench.core.thresholds import Limit

if TYPE_CHECKING:
    from pytest_embedbench.checks.evidence import CheckEvidence, QueryOutcome
    from pytest_embedbench.checks.verdict import PairNames, Status, Verdict
    from pytest_embedbench.errors import ProvenFailure

MAX_WORST_QUERIES = 5
"""Queries shown with a failed threshold, at most."""


class QualityCheck(Check, frozen=True, kw_only=True):
    """A measure and its limit; without a limit the value is only reported."""

    kind: ClassVar[str] = "quality"
    judges_ranking: ClassVar[bool] = True

    measure: Measure
    limit: Limit | None = None

    @property
    def name(self) -> str:
        return f"quality[{self.measure}]"

    @property
    def title(self) -> str:
        return str(self.measure)

    @property
    def measures(self) -> tuple[Measure, ...]:
        return (self.measure,)

    @property
    def mean_limit(self) -> Limit | None:
        return self.limit

    def judge_unscored(self, pair: PairNames, problem: str, fix: str) -> Verdict | None:
        """Fail a threshold on a dataset that cannot be scored: a gate that checks nothing must not be green."""
        if self.limit is None:
            return None
        text = f"{pair.dataset} cannot be scored, so that {self.title} {self.limit.show_bound()} cannot be checked"
        fix = f"{fix}; or limit the threshold to other datasets with dataset = ..."
        return self.verdict(
            pair, "failed", limit=self.limit.show_bound(), explanation=f"{text}: {problem}\n  fix: {fix}"
        )

    def judge(self, evidence: CheckEvidence) -> Verdict:
        """Compare a mean with its threshold; without judged queries, fail a threshold, and skip a check without one."""
        pair, limit = evidence.names, self.limit
        value = evidence.means.get(self.title)
        if value is None:
            reason = "no query of the dataset has a relevant judged document"
            status: Status = "failed" if limit else "skipped"
            return self.verdict(pair, status, limit=limit.show_bound() if limit else "", explanation=reason)
        if limit is None:
            return self.verdict(pair, "measured", measured=f"{value:.4f}", value=value)
        holds = limit.holds(value)
        lines: list[str] = []
        if not holds:
            lines = [f"{self.title} is {value:.4f}, must be {limit.show_bound()}"]
            # Only a failure asks for these, since finding them goes through the whole ranking.
            lines += show_worst(evidence.worst_queries(self.measure))
        return self.verdict(
            pair,
            "passed" if holds else "failed",
            measured=limit.show(value),
            limit=limit.show_bound(),
            value=value,
            explanation="\n".join(lines),
        )

    def judge_ended(self, pair: PairNames, failure: ProvenFailure) -> Verdict:
        """Judge by the upper bound that the measure's mean can still reach, where the proof is about this measure.

        A threshold that the bound would still allow is not decided, and so skipped.
        """
        if self.limit is None or self.title != failure.subject:
            return super().judge_ended(pair, failure)
        missed = not self.limit.holds(failure.bound)
        return self.verdict(
            pair,
            "failed" if missed else "skipped",
            measured=f"<= {failure.bound:.4f}",
            limit=self.limit.show_bound(),
            explanation=str(failure) if missed else f"the evaluation was ended early: {failure}",
        )


def show_worst(worst: Sequence[QueryOutcome]) -> list[str]:
    """Return lines that show the lowest-scoring queries."""
    lines = ["lowest-scoring queries:"] if worst else []
    for outcome in worst[:MAX_WORST_QUERIES]:
        rank = outcome.first_relevant_rank
        where = f"first relevant document at rank {rank}" if rank else "no relevant document found"
        lines.append(f"  {outcome.score:.4f}  {outcome.query_id}  {outcome.text[:80]!r}")
        lines.append(f"          ranked first: {outcome.ranked_first or 'nothing'}; {where}")
    return lines
