"""Check latencies: inequalities that every sample obeys, and a sign of latencies that were never measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from pytest_embedbench.plausibility.rows import PlausibilityFinding, ReportedRow, ReportedValue, finding_about

ASCENDING = ("min", "p50", "p90", "p95", "p99", "max")
ABOVE = {"p50": 0.5, "p90": 0.1, "p95": 0.05, "p99": 0.01}
"""Percentile -> share of the samples that are at least as large."""

MIN_ROWS = 3
"""Rows with different means that a finding needs; equal ratios in fewer rows may be chance."""
MAX_RELATIVE_HALF_WIDTH = 5e-4
"""Relative half-width of a printed number; ratios of coarser ones agree by chance."""


def check_samples(row: ReportedRow) -> Iterator[PlausibilityFinding]:
    """Check the order of the percentiles, the mean's position among them, and Markov's inequality.

    Markov: mean >= (1-q) p_q, since a share 1-q of the non-negative samples is at least p_q. It also holds for
    percentiles by linear interpolation: mean and percentile are both sums over the steps of the sorted samples, and for
    one step, with f the interpolated part of it, n mean - n (1-q) f >= 0 is linear in f and true at 0 and 1.
    """
    for load, statistics in row.latencies.items():
        for name, value in statistics.items():
            if value.high < 0:
                message = f"{load}: impossible: {name} is {value} ms, below zero"
                yield finding_about(row, "error", "latency", message, **{name: value.value})
        present = [name for name in ASCENDING if name in statistics]
        for low, high in pairwise(present):
            yield from _at_most(row, load, statistics, low, 1.0, high)
        if "mean" in statistics:
            for name, share in ABOVE.items():
                if name in statistics:
                    yield from _at_most(row, load, statistics, name, 1 / share, "mean")
            for low, high in (("min", "mean"), ("mean", "max")):
                if {low, high} <= set(statistics):
                    yield from _at_most(row, load, statistics, low, 1.0, high)


def _at_most(
    row: ReportedRow, load: str, statistics: Mapping[str, ReportedValue], left: str, factor: float, right: str
) -> Iterator[PlausibilityFinding]:
    small, large = statistics[left], statistics[right]
    if small.low > factor * large.high:
        times = "" if factor == 1 else f"{factor:.6g} "
        message = f"{load}: impossible: {left} <= {times}{right} fails: {small} ms > {factor * large.value:.6g} ms"
        yield finding_about(row, "error", "latency", message, **{left: small.value, right: large.value})


def check_fixed_ratios(rows: Iterable[ReportedRow]) -> Iterator[PlausibilityFinding]:
    """Find percentiles that are the same multiple of the mean on every dataset: computed, not measured.

    A finding needs three rows of one model and load with different means, all printed with enough digits.
    """
    groups: dict[tuple[str, str], list[ReportedRow]] = {}
    for row in rows:
        for load in row.latencies:
            groups.setdefault((row.model, load), []).append(row)
    for (model, load), members in groups.items():
        shared = {name: ratio for name in ABOVE if (ratio := _shared_ratio(members, load, name))}
        if shared:
            ratios = ", ".join(f"{name} = {ratio:.3f} x mean" for name, ratio in shared.items())
            message = (
                f"{load}: {ratios} on each of {len(members)} datasets ({', '.join(row.label for row in members)}): "
                "percentiles that were measured do not keep one ratio to the mean"
            )
            # The finding is about several datasets, so it names none.
            several = ReportedRow(dataset="", model=model, source=members[0].source)
            yield finding_about(several, "warning", "fixed-ratios", message, **shared)


def _shared_ratio(rows: list[ReportedRow], load: str, name: str) -> float | None:
    """Return the multiple of the mean that the percentile can be in every row; None if there is none."""
    pairs = [(row.latencies[load].get(name), row.latencies[load].get("mean")) for row in rows]
    precise = [(value, mean) for value, mean in pairs if value and mean and _precise(value) and _precise(mean)]
    if len(precise) < len(pairs) or len({mean.value for _, mean in precise}) < MIN_ROWS:
        return None
    # Each row allows a range of ratios, given its rounding; a ratio that all rows share lies in every range.
    low = max(value.low / mean.high for value, mean in precise)
    high = min(value.high / mean.low for value, mean in precise)
    return (low + high) / 2 if low <= high else None


def _precise(value: ReportedValue) -> bool:
    return value.value > 0 and value.half <= MAX_RELATIVE_HALF_WIDTH * value.value
