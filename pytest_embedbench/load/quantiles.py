"""Percentiles of samples, how sure they are, and how many samples they need.

Intervals are distribution-free: of ``n`` independent samples, the number below the quantile of ``share`` is binomial,
so that two order statistics enclose it with a probability that is known whatever the distribution (Conover 1999, 3.2;
Hahn & Meeker 1991, 5.2). Samples of one load are not quite independent (requests of one batch are answered together),
so an interval is somewhat narrower than it should be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}

CONFIDENCE = 0.95
"""Of every interval, two-sided, half of the rest at each end."""

TAIL_PROBABILITY = (1 - CONFIDENCE) / 2


class Interval(NamedTuple):
    """Where a quantile of the distribution lies, in the samples' unit."""

    low: float
    high: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """The ``share`` quantile of sorted samples by linear interpolation (Hyndman & Fan 1996, type 7; numpy's)."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def min_samples(share: float) -> int:
    """Samples that a quantile needs: with fewer, none of them need lie above it (below it, if ``share`` < 0.5).

    All of ``n`` samples lie below the quantile with a probability of ``share ** n``; where that exceeds ``TAIL``, the
    interval has no upper end. So p50 needs 6 samples, p90 36, p95 72, p99 368.
    """
    return math.ceil(math.log(TAIL_PROBABILITY) / math.log(max(share, 1 - share)))


def percentile_interval(ordered: Sequence[float], share: float) -> Interval | None:
    """The quantile's interval at ``CONFIDENCE`` from sorted samples; None where there are fewer than it needs."""
    count = len(ordered)
    if count < min_samples(share):
        return None
    import numpy as np
    from scipy.special import bdtr

    # Probabilities that at most so many samples lie below the quantile.
    below = bdtr(np.arange(count), count, share)
    low = int(np.searchsorted(below, TAIL_PROBABILITY, side="right"))
    high = int(np.searchsorted(below, 1 - TAIL_PROBABILITY, side="left")) + 1
    return Interval(ordered[max(low, 1) - 1], ordered[min(high, count) - 1])


def relative_width(ordered: Sequence[float], share: float) -> float:
    """The interval's length as a share of the percentile; infinite where there is no interval."""
    found = percentile_interval(ordered, share)
    if found is None:
        return math.inf
    length = found.high - found.low
    return length / percentile(ordered, share) if length else 0.0


def refusal(name: str, count: int) -> str:
    """Why ``count`` samples give no percentile of this name; "" where they do."""
    needed = min_samples(PERCENTILES[name])
    return "" if count >= needed else f"{name} needs {needed} samples, there are {count}"


def supported_percentile(name: str, ordered: Sequence[float]) -> float | None:
    """The percentile of this name of sorted samples; None where they are too few for it."""
    return None if refusal(name, len(ordered)) else percentile(ordered, PERCENTILES[name])


RATE_WINDOWS = 20
"""Equal parts of a run, whose rates are taken for independent samples of the rate."""
MIN_RATE_REQUESTS = 5 * RATE_WINDOWS
"""Requests that a rate's interval needs: with fewer, windows differ by which one a single request falls into."""


def rate_interval(answered: Iterable[tuple[float, float]], seconds: float) -> Interval | None:
    """The interval at 95% of a mean rate a second, by Student's t; None where there are too few requests.

    ``answered`` has the end of each request, in seconds up to ``seconds``, and how much it counts for.
    """
    from scipy.special import stdtrit

    windows = [0.0] * RATE_WINDOWS
    requests = 0
    for end, amount in answered:
        windows[min(int(end / seconds * RATE_WINDOWS), RATE_WINDOWS - 1)] += amount
        requests += 1
    if requests < MIN_RATE_REQUESTS:
        return None
    rates = [amount / (seconds / RATE_WINDOWS) for amount in windows]
    half = float(stdtrit(RATE_WINDOWS - 1, 1 - TAIL_PROBABILITY)) * stdev(rates) / math.sqrt(RATE_WINDOWS)
    return Interval(max(0.0, fmean(rates) - half), fmean(rates) + half)
