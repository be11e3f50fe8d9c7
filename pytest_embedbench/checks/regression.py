"""Regression checks: a mean must not fall more than ``max_drop`` below its baseline, where that is significant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, assert_never

from pytest_embedbench.checks.check import Check
from pytest_embedbench.checks.comparison import MeansCompared, NewBaseline, NotCompared, QueriesCompared
from pytest_embedbench.checks.significance import MEAN_ROUNDING, level, queries_needed
from pytest_embedbench.core.measures import Measure

if TYPE_CHECKING:
    from pytest_embedbench.checks.comparison import Comparison, LostQuery
    from pytest_embedbench.checks.evidence import CheckEvidence
    from pytest_embedbench.checks.significance import PairedComparison, Tested
    from pytest_embedbench.checks.verdict import PairNames, Status, Verdict


class RegressionCheck(Check, frozen=True, kw_only=True):
    """A measure whose mean may not fall by more than ``max_drop`` below the baseline's, where that is significant."""

    kind: ClassVar[str] = "regression"
    # Holm's correction needs the p-values of all pairs, so these checks come when the pairs have been evaluated.
    order: ClassVar[int] = 2
    needs_all_pairs: ClassVar[bool] = True

    measure: Measure
    max_drop: float
    confidence: float

    @property
    def name(self) -> str:
        return f"regression[{self.measure}]"

    @property
    def title(self) -> str:
        return f"regression {self.measure}"

    @property
    def measures(self) -> tuple[Measure, ...]:
        return (self.measure,)

    def judge_unscored(self, pair: PairNames, problem: str, fix: str) -> Verdict | None:
        """Fail on a dataset that cannot be scored: a gate that checks nothing must not be green."""
        text = f"{pair.dataset} cannot be scored, so that {self.measure} cannot be compared with a baseline: {problem}"
        fix = f"{fix}; or compare other datasets only, with dataset = ... in [regression]"
        return _verdict(pair, self, "failed", explanation=f"{text}\n  fix: {fix}")

    def judge(self, evidence: CheckEvidence) -> Verdict:
        """Compare the mean with the baseline's; what cannot be compared is skipped or fails, and never passes."""
        return judge_comparison(evidence.names, self, evidence.compare(self.measure))


def judge_comparison(pair: PairNames, check: RegressionCheck, comparison: Comparison) -> Verdict:
    """Judge a pair by how it compares with the baseline."""
    match comparison:
        case QueriesCompared():
            return _judge_queries(pair, check, comparison)
        case MeansCompared():
            return _judge_means(pair, check, comparison)
        case NotCompared(reason):
            return _verdict(pair, check, "skipped", explanation=reason)
        case NewBaseline(mean):
            return check.verdict(pair, "measured", measured=f"{mean:.4f}", value=mean)
        case _:
            assert_never(comparison)


def _verdict(
    pair: PairNames,
    check: RegressionCheck,
    status: Status,
    *,
    explanation: str,
    measured: str = "",
    drop: float | None = None,
) -> Verdict:
    """Return a verdict on a drop, which is rounded to nine decimals."""
    return check.verdict(
        pair,
        status,
        measured=measured,
        limit=f"drop <= {check.max_drop:g}",
        # Rounded, so that files have 0.1 and not 0.09999999999999998.
        value=None if drop is None else round(drop, 9),
        explanation=explanation,
    )


def _judge_queries(pair: PairNames, check: RegressionCheck, comparison: QueriesCompared) -> Verdict:
    tested, paired = comparison.tested, comparison.tested.paired
    # NaN compares as false with every limit.
    failed = tested.is_regression(check.max_drop, check.confidence) or not math.isfinite(paired.drop)
    p = f", p = {tested.p:.2g}" if paired.changed else ""
    lines = [explain(str(check.measure), check, tested, comparison.baseline)]
    if paired.changed:
        lines.append("changed since then: " + (", ".join(comparison.changed) or "nothing that is recorded"))
    if failed:
        lines += show_lost(comparison.lost())
    return _verdict(
        pair,
        check,
        "failed" if failed else "passed",
        measured=f"{paired.now:.4f} ({paired.now - paired.before:+.4f}{p})",
        drop=paired.drop,
        explanation="\n".join(lines),
    )


def _judge_means(pair: PairNames, check: RegressionCheck, comparison: MeansCompared) -> Verdict:
    """Judge against a published mean, which has no values per query.

    A drop within ``max_drop`` passes. A larger one may be chance, which cannot be tested: the check is skipped.
    """
    before, now = comparison.before, comparison.now
    drop = before - now
    within = drop <= check.max_drop + MEAN_ROUNDING
    moved = f"{round(now - before, 9) + 0.0:+.4f}"  # adding 0.0 turns a negative zero into a positive one
    text = f"{check.measure} is {now:.4f}, the mean in {comparison.baseline} is {before:.4f} ({moved}"
    text += f"{'' if within else f', more than max_drop {check.max_drop:g}'}); "
    text += "it has means only, so that nothing can be tested"
    if not within:
        text += f"; where that must fail, write quality = ['{check.measure} >= {before - check.max_drop:.4f}']"
    status: Status = "passed" if within else "skipped"
    return _verdict(pair, check, status, measured=f"{now:.4f} ({moved})", drop=drop, explanation=text)


def explain(name: str, check: RegressionCheck, tested: Tested, baseline: str) -> str:
    """Describe the comparison in a sentence or two, with its interval, its p-values and what it could have detected."""
    paired, alpha = tested.paired, level(check.confidence)
    if not paired.changed:
        return f"{name} is {paired.now:.4f}, for every query what it was in {baseline}"
    # Queries changed in both directions, and the changes cancel out.
    # Its own sentence, since "fell by 0.0000" would read like a contradiction.
    if abs(paired.drop) <= MEAN_ROUNDING:
        moved = f"{name} is {paired.now:.4f} as in {baseline}, though {paired.changed} queries changed"
        return f"{moved}{_interval(paired, check.confidence)}; {_power(check, tested)}"
    fell = paired.drop > 0
    significant = tested.p < alpha
    way = "fell" if fell else "improved: it rose" if significant else "rose"
    text = f"{name} {way} by {abs(paired.drop):.4f} from {paired.before:.4f} in {baseline} to {paired.now:.4f}"
    text += _interval(paired, check.confidence)
    if fell:
        text += ", more than" if paired.drop > check.max_drop + MEAN_ROUNDING else ", within"
        text += f" max_drop {check.max_drop:g}"
    text += f"; {'significant' if significant else 'not significant'}: p = {paired.p:.2g}"
    if tested.tests > 1:
        text += f", Holm's p = {tested.p:.2g} for {tested.tests} comparisons"
    return f"{text}, level {alpha:.2g}" + ("" if significant and fell else f"; {_power(check, tested)}")


def _interval(paired: PairedComparison, confidence: float) -> str:
    if math.isnan(paired.low):
        return ""
    return f" ({100 * confidence:g}% interval of the drop {paired.low:.4f} to {paired.high:.4f})"


def _power(check: RegressionCheck, tested: Tested) -> str:
    """Describe the drop that this many queries can detect, and how many queries ``max_drop`` would need."""
    paired, detectable = tested.paired, tested.detectable(check.confidence)
    if math.isinf(detectable):
        text = f"{paired.queries} queries are too few to detect any drop"
    else:
        text = f"{paired.queries} queries detect a drop of {detectable:.4f} or more (power 80%)"
        if detectable > check.max_drop > 0:
            text += f", too few to detect max_drop {check.max_drop:g}"
    if detectable > check.max_drop > 0 and not math.isnan(paired.deviation):
        needed = queries_needed(paired.deviation, check.max_drop, level(check.confidence) / tested.tests)
        text += f": that takes about {needed:,}"
    return text


def show_lost(lost: Sequence[LostQuery]) -> list[str]:
    """Return lines that show the queries that lost most."""
    lines = ["queries that lost most:"] if lost else []
    for query in lost:
        then, here = (f"rank {rank}" if rank else "not found" for rank in (query.rank_before, query.rank_now))
        values = f"{query.before:.4f} -> {query.now:.4f}"
        lines.append(f"  {query.now - query.before:+.4f}  {query.query_id}  {query.text[:80]!r} ({values})")
        lines.append(
            f"           ranked first: {query.first_now or 'nothing'}, was {query.first_before or 'nothing'}; "
            f"relevant {query.relevant}: {then} -> {here}"
        )
    return lines
