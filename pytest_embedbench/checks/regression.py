"""Regression checks: a mean must not fall more than ``max_drop`` below its baseline, where that is significant."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pytest_embedbench.checks.significance import Paired, detectable_drop, holm, level, queries_needed
from pytest_embedbench.checks.verdict import Verdict
from pytest_embedbench.suite.checks import RegressionCheck

LOST = 10
"""Queries shown with a regression."""

TOLERANCE = 1e-9
"""A mean's rounding in floating point: a drop of just ``max_drop`` is within it."""


class LostQuery(NamedTuple):
    """What became of one query: its values, what stood first, and where a relevant document went (0: nowhere).

    ``relevant`` is the one that the baseline placed best, or, where it placed none, the best one now.
    """

    query_id: str
    text: str
    before: float
    now: float
    first_before: str
    first_now: str
    relevant: str
    rank_before: int
    rank_now: int


@dataclass(frozen=True)
class Tested:
    """A comparison with its p-values adjusted for all ``tests`` that were made together."""

    found: Paired
    drop_p: float
    gain_p: float
    tests: int

    @property
    def p(self) -> float:
        """The adjusted p in the direction that was observed."""
        return min(self.drop_p, self.gain_p)

    def is_regression(self, max_drop: float, confidence: float) -> bool:
        """Did the mean fall by more than ``max_drop``, and is the fall significant?"""
        return self.found.drop > max_drop + TOLERANCE and self.drop_p < level(confidence)

    def detectable(self, confidence: float) -> float:
        """The smallest drop that 80% of runs find at the strictest level that Holm's correction can ask for."""
        return detectable_drop(self.found.deviation, self.found.queries, level(confidence) / self.tests)


def adjust_together(found: Sequence[Paired]) -> list[Tested]:
    """Adjust the p-values of all that is compared together by Holm: drops among drops, gains among gains."""
    drops, gains = holm([one.p_drop for one in found]), holm([one.p_gain for one in found])
    return [Tested(one, drop_p, gain_p, len(found)) for one, drop_p, gain_p in zip(found, drops, gains, strict=True)]


def check_regression(
    pair: tuple[str, str],
    check: RegressionCheck,
    tested: Tested,
    baseline: str,
    changed: Sequence[str],
    lost: Callable[[], Sequence[LostQuery]],
) -> Verdict:
    """Judge one comparison of a pair (model, dataset). ``baseline`` is its name, ``changed`` what else is not as then.

    ``lost`` gives the queries that a failure shows; it is only asked then.
    """
    found = tested.found
    failed = tested.is_regression(check.max_drop, check.confidence)
    p = f", p = {tested.p:.2g}" if found.changed else ""
    lines = [explain(str(check.measure), check, tested, baseline)]
    if found.changed:
        lines.append("changed since then: " + (", ".join(changed) or "nothing that is recorded"))
    if failed:
        lines += show_lost(lost())
    return Verdict(
        model=pair[0],
        dataset=pair[1],
        check=f"regression {check.measure}",
        status="failed" if failed else "passed",
        measured=f"{found.now:.4f} ({found.now - found.before:+.4f}{p})",
        limit=f"drop <= {check.max_drop:g}",
        value=round(found.drop, 9),
        explanation="\n".join(lines),
    )


def check_means(pair: tuple[str, str], check: RegressionCheck, before: float, now: float, baseline: str) -> Verdict:
    """Judge against a published mean, of which there are no values per query.

    A drop within ``max_drop`` passes. A larger one may be chance, which cannot be tested: the check is skipped.
    """
    drop = before - now
    within = drop <= check.max_drop + TOLERANCE
    moved = f"{round(now - before, 9) + 0.0:+.4f}"  # no negative zero
    text = f"{check.measure} is {now:.4f}, the mean in {baseline} is {before:.4f} ({moved}"
    text += f"{'' if within else f', more than max_drop {check.max_drop:g}'}); "
    text += "it has means only, so that nothing can be tested"
    if not within:
        text += f"; where that must fail, write quality = ['{check.measure} >= {before - check.max_drop:.4f}']"
    return Verdict(
        model=pair[0],
        dataset=pair[1],
        check=f"regression {check.measure}",
        status="passed" if within else "skipped",
        measured=f"{now:.4f} ({moved})",
        limit=f"drop <= {check.max_drop:g}",
        value=round(drop, 9),
        explanation=text,
    )


def skipped_regression(pair: tuple[str, str], check: RegressionCheck, reason: str) -> Verdict:
    """The verdict where there is nothing to compare."""
    return Verdict(
        model=pair[0],
        dataset=pair[1],
        check=f"regression {check.measure}",
        status="skipped",
        limit=f"drop <= {check.max_drop:g}",
        explanation=reason,
    )


def measured_regression(pair: tuple[str, str], check: RegressionCheck, value: float) -> Verdict:
    """The verdict where the value becomes the baseline's."""
    return Verdict(
        model=pair[0],
        dataset=pair[1],
        check=f"regression {check.measure}",
        status="measured",
        measured=f"{value:.4f}",
        value=value,
    )


def explain(name: str, check: RegressionCheck, tested: Tested, baseline: str) -> str:
    """The comparison in one sentence or two, with its interval, its p-values and what it could have detected."""
    found, alpha = tested.found, level(check.confidence)
    if not found.changed:
        return f"{name} is {found.now:.4f}, for every query what it was in {baseline}"
    if abs(found.drop) <= TOLERANCE:
        moved = f"{name} is {found.now:.4f} as in {baseline}, though {found.changed} queries changed"
        return f"{moved}{_interval(found, check.confidence)}; {_power(check, tested)}"
    fell = found.drop > 0
    significant = tested.p < alpha
    way = "fell" if fell else "improved: it rose" if significant else "rose"
    text = f"{name} {way} by {abs(found.drop):.4f} from {found.before:.4f} in {baseline} to {found.now:.4f}"
    text += _interval(found, check.confidence)
    if fell:
        text += ", more than" if found.drop > check.max_drop + TOLERANCE else ", within"
        text += f" max_drop {check.max_drop:g}"
    text += f"; {'significant' if significant else 'not significant'}: p = {found.p:.2g}"
    if tested.tests > 1:
        text += f", Holm's p = {tested.p:.2g} for {tested.tests} comparisons"
    return f"{text}, level {alpha:.2g}" + ("" if significant and fell else f"; {_power(check, tested)}")


def _interval(found: Paired, confidence: float) -> str:
    if math.isnan(found.low):
        return ""
    return f" ({100 * confidence:g}% interval of the drop {found.low:.4f} to {found.high:.4f})"


def _power(check: RegressionCheck, tested: Tested) -> str:
    """What so many queries can detect, and how many it would take for ``max_drop``."""
    found, detectable = tested.found, tested.detectable(check.confidence)
    if math.isinf(detectable):
        text = f"{found.queries} queries are too few to detect any drop"
    else:
        text = f"{found.queries} queries detect a drop of {detectable:.4f} or more (power 80%)"
        if detectable > check.max_drop > 0:
            text += f", too few to detect max_drop {check.max_drop:g}"
    if detectable > check.max_drop > 0 and not math.isnan(found.deviation):
        needed = queries_needed(found.deviation, check.max_drop, level(check.confidence) / tested.tests)
        text += f": that takes about {needed:,}"
    return text


def show_lost(lost: Sequence[LostQuery]) -> list[str]:
    """Lines that show the queries that lost most."""
    lines = ["queries that lost most:"] if lost else []
    for one in lost:
        then, here = (f"rank {rank}" if rank else "not found" for rank in (one.rank_before, one.rank_now))
        lines.append(
            f"  {one.now - one.before:+.4f}  {one.query_id}  {one.text[:80]!r} ({one.before:.4f} -> {one.now:.4f})"
        )
        lines.append(
            f"           ranked first: {one.first_now or 'nothing'}, was {one.first_before or 'nothing'}; "
            f"relevant {one.relevant}: {then} -> {here}"
        )
    return lines
