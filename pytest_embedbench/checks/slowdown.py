"""Speed regressions: a model must not take more than ``max_slowdown`` times as long as a baseline model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_embedbench.checks.verdict import Verdict

if TYPE_CHECKING:
    from pytest_embedbench.load.ratio import SideSlowdown, SlowdownResult
    from pytest_embedbench.suite.checks import SlowdownCheck

TOLERANCE = 1e-9
"""Rounding in floating point: a ratio of just ``max_slowdown`` is within it."""

STOPPED = {"precise": "narrow enough", "time": "time was up"}


def check_slowdown(pair: tuple[str, str], check: SlowdownCheck, found: SlowdownResult) -> Verdict:
    """Judge one side of a pair (model, dataset): it fails where even the interval's near end is above the limit."""
    side = found.query if check.side == "query" else found.corpus
    failed = side.low > check.max_slowdown + TOLERANCE
    return Verdict(
        model=pair[0],
        dataset=pair[1],
        check=name_of(check),
        status="failed" if failed else "passed",
        measured=f"{side.ratio:.3f}x ({side.low:.3f} to {side.high:.3f})",
        limit=f"<= {check.max_slowdown:g}x of {found.against}",
        value=side.ratio,
        explanation=explain(check, side, found),
    )


def skipped_slowdown(pair: tuple[str, str], check: SlowdownCheck, reason: str) -> Verdict:
    """The verdict where there is nothing to compare."""
    return Verdict(
        model=pair[0],
        dataset=pair[1],
        check=name_of(check),
        status="skipped",
        limit=f"<= {check.max_slowdown:g}x of {check.against.alias}",
        explanation=reason,
    )


def name_of(check: SlowdownCheck) -> str:
    """The check as tables write it: ``slowdown b1 c4 query``."""
    return f"slowdown {check.shape} {check.side}"


def explain(check: SlowdownCheck, side: SideSlowdown, found: SlowdownResult) -> str:
    """The comparison in one line: ratio, interval, what both took, how it was measured and where."""
    limit = f"max_slowdown {check.max_slowdown:g}"
    if side.low > check.max_slowdown + TOLERANCE:
        told = f"more than {limit} even at the interval's near end"
    elif side.high > check.max_slowdown + TOLERANCE:
        told = f"the interval is too wide to tell whether that is more than {limit}"
    else:
        told = f"within {limit}"
    again = f", of {side.distinct_texts:,} distinct texts" if side.distinct_texts < side.texts else ""
    return (
        f"{check.side} under {found.shape} takes {side.ratio:.3f} times as long as with {found.against} "
        f"({100 * side.confidence:g}% interval {side.low:.3f} to {side.high:.3f}): {told}; "
        f"medians {side.model_ms:.2f} ms and {side.baseline_ms:.2f} ms, {side.pairs:,} pairs{again} "
        f"in {side.seconds:.1f} s ({STOPPED[side.stopped]}), on {found.hardware}"
    )
