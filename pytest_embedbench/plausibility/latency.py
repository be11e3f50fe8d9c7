"""What every set of latencies obeys, and the sign of one that was never measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from pytest_embedbench.plausibility.rows import Finding, Row, Value, finding

ORDER = ("min", "p50", "p90", "p95", "p99", "max")
ABOVE = {"p50": 0.5, "p90": 0.1, "p95": 0.05, "p99": 0.01}
"""The share of samples that are at least the percentile."""

ROWS_OF_A_PATTERN = 3
SHARP = 5e-4
"""Ratios of coarser numbers (relative half-width) agree by chance."""


def check_samples(row: Row) -> Iterator[Finding]:
    """Order of the percentiles, the mean's place among them, and Markov's inequality.

    mean >= (1-q) p_q, as a share 1-q of non-negative samples is at least p_q. It also holds for percentiles by linear
    interpolation: mean and percentile are both sums over the steps of the sorted samples, and for one step, with a
    share f of the way to the step interpolated, n mean - n (1-q) f >= 0 is linear in f and true at 0 and 1.
    """
    for load, statistics in row.latencies.items():
        for name, value in statistics.items():
            if value.high < 0:
                message = f"{load}: impossible: {name} is {value} ms, below zero"
                yield finding(row, "error", "latency", message, **{name: value.value})
        present = [name for name in ORDER if name in statistics]
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
    row: Row, load: str, statistics: Mapping[str, Value], left: str, factor: float, right: str
) -> Iterator[Finding]:
    small, large = statistics[left], statistics[right]
    if small.low > factor * large.high:
        times = "" if factor == 1 else f"{factor:.6g} "
        message = f"{load}: impossible: {left} <= {times}{right} fails: {small} ms > {factor * large.value:.6g} ms"
        yield finding(row, "error", "latency", message, **{left: small.value, right: large.value})


def check_fixed_ratios(rows: Iterable[Row]) -> Iterator[Finding]:
    """Percentiles that are one and the same multiple of the mean on every dataset: computed, not measured.

    A sign needs three rows of one model and load with different means, all printed finely enough.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
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
            several = Row(dataset="", model=model, source=members[0].source)
            yield finding(several, "warning", "fixed-ratios", message, **shared)


def _shared_ratio(rows: list[Row], load: str, name: str) -> float | None:
    """The multiple of the mean that the percentile may be in every row; None where there is none."""
    pairs = [(row.latencies[load].get(name), row.latencies[load].get("mean")) for row in rows]
    sharp = [(value, mean) for value, mean in pairs if value and mean and _sharp(value) and _sharp(mean)]
    if len(sharp) < len(pairs) or len({mean.value for _, mean in sharp}) < ROWS_OF_A_PATTERN:
        return None
    low = max(value.low / mean.high for value, mean in sharp)
    high = min(value.high / mean.low for value, mean in sharp)
    return (low + high) / 2 if low <= high else None


def _sharp(value: Value) -> bool:
    return value.value > 0 and value.half <= SHARP * value.value
