"""Speed regressions: a model must not take more than ``max_slowdown`` times as long as a baseline model."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pytest_embedbench.checks.check import NO_LOAD_PROFILE, Check
from pytest_embedbench.load.notes import busy_note
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.models.spec import NamedModel

if TYPE_CHECKING:
    from pytest_embedbench.checks.evidence import CheckEvidence
    from pytest_embedbench.checks.verdict import PairNames, Verdict
    from pytest_embedbench.load.ratio import SideSlowdown, SlowdownResult

Side = Literal["query", "corpus"]

RATIO_ROUNDING = 1e-9
"""Ratio; floating-point error within which a ratio counts as equal to ``max_slowdown``."""

STOPPED = {"precise": "narrow enough", "time": "time was up"}
"""Reasons why a measurement ended, in words."""


class SlowdownCheck(Check, frozen=True, kw_only=True):
    """One side of a load under which a model may take at most ``max_slowdown`` times as long as another one."""

    kind: ClassVar[str] = "slowdown"
    measures_load: ClassVar[bool] = True
    # After the budgets, since two models in memory at once raise the peak that budgets on memory read.
    order: ClassVar[int] = 1

    shape: LoadShape
    side: Side
    against: NamedModel
    max_slowdown: float
    confidence: float

    @property
    def name(self) -> str:
        return f"slowdown[{self.shape.slug}-{self.side}]"

    @property
    def title(self) -> str:
        return f"slowdown {self.shape} {self.side}"

    @property
    def needs_ranking(self) -> bool:
        return False

    def judge(self, evidence: CheckEvidence) -> Verdict:
        """Time both models and compare the ratio with the limit; a model without vectors is skipped."""
        if not evidence.has_vectors:
            limit = f"<= {self.max_slowdown:g}x of {self.against.alias}"
            return self.verdict(evidence.names, "skipped", limit=limit, explanation=NO_LOAD_PROFILE)
        result = evidence.slowdown(self.shape, self.against, self.confidence)
        return judge_slowdown(evidence.names, self, result)


def judge_slowdown(pair: PairNames, check: SlowdownCheck, result: SlowdownResult) -> Verdict:
    """Judge one side of a pair: it fails only if even the lower end of the ratio's interval is above the limit."""
    side = result.query if check.side == "query" else result.corpus
    # The lower end, so that a ratio above the limit by chance alone does not fail.
    failed = not side.low <= check.max_slowdown + RATIO_ROUNDING  # so that NaN fails
    return check.verdict(
        pair,
        "failed" if failed else "passed",
        measured=f"{side.ratio:.3f}x ({side.low:.3f} to {side.high:.3f})",
        limit=f"<= {check.max_slowdown:g}x of {result.against}",
        value=side.ratio,
        explanation=explain(check, side, result),
    )


def explain(check: SlowdownCheck, side: SideSlowdown, result: SlowdownResult) -> str:
    """Describe the comparison in one line: ratio, interval, medians, how and where it was measured."""
    limit = f"max_slowdown {check.max_slowdown:g}"
    if side.low > check.max_slowdown + RATIO_ROUNDING:
        finding = f"more than {limit} even at the interval's near end"
    elif side.high > check.max_slowdown + RATIO_ROUNDING:
        finding = f"the interval is too wide to tell whether that is more than {limit}"
    else:
        finding = f"within {limit}"
    again = f", of {side.distinct_texts:,} distinct texts" if side.distinct_texts < side.texts else ""
    busy = busy_note(result.circumstances)
    return (
        f"{check.side} under {result.shape} takes {side.ratio:.3f} times as long as with {result.against} "
        f"({100 * side.confidence:g}% interval {side.low:.3f} to {side.high:.3f}): {finding}; "
        f"medians {side.model_ms:.2f} ms and {side.baseline_ms:.2f} ms, {side.pairs:,} pairs{again} "
        f"in {side.seconds:.1f} s ({STOPPED[side.stopped]}), on {result.hardware}{busy and f'; {busy}'}"
    )
