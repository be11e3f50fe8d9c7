"""Percentiles of samples and mean rates, with their confidence intervals and the number of samples that they need.

A percentile's interval is distribution-free: of ``n`` independent samples, the number below the quantile of ``share``
is binomial, so that two order statistics enclose the quantile with a probability that is known whatever the
distribution (Conover 1999, 3.2; Hahn & Meeker 1991, 5.2). Samples of one load are not quite independent, since requests
of one batch are answered together; an interval is therefore somewhat narrower than it should be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from pytest_embedbench.core.bounded import Amount

PERCENTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99}
"""Names of the percentiles that are reported -> share of the samples below each."""

CONFIDENCE = 0.95
"""Probability that an interval encloses the true value; intervals are two-sided."""

TAIL_PROBABILITY = (1 - CONFIDENCE) / 2
"""Probability that the true value lies below an interval, and that it lies above it."""

RATE_WINDOWS = 20
"""Equal parts of a run; their rates are taken for independent samples of the run's rate (batch means)."""

MIN_RATE_REQUESTS = 5 * RATE_WINDOWS
"""Requests that a rate's interval needs; with fewer, the windows' rates depend on where single requests end."""


class Interval(NamedTuple):
    """Confidence interval of a percentile or a rate, in its unit."""

    low: Amount
    high: Amount


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the ``share`` quantile of sorted samples by linear interpolation.

    This is type 7 of Hyndman & Fan (1996), numpy's default.
    """
    position = share * (len(ordered) - 1)
    low = int(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def min_samples(share: float) -> int:
    """Return the number of samples that the ``share`` quantile needs for its interval to have both ends.

    All of ``n`` samples lie below the quantile with a probability of ``share ** n``; where that exceeds
    ``TAIL_PROBABILITY``, the interval has no upper end (no lower end, if ``share`` is below 0.5). So p50 needs 6
    samples, p90 36, p95 72, p99 368.
    """
    return math.ceil(math.log(TAIL_PROBABILITY) / math.log(max(share, 1 - share)))


def percentile_interval(ordered: Sequence[float], share: float) -> Interval | None:
    """Return the interval of the ``share`` quantile, from sorted samples; None where they are too few."""
    count = len(ordered)
    if count < min_samples(share):
        return None
    # Imported here, so that reading stored results does not import scipy.
    import numpy as np
    from scipy.special import bdtr

    # below[k]: probability that at most k samples lie below the quantile.
    below = bdtr(np.arange(count), count, share)
    # Ranks, from 1, of the samples at both ends: the highest sample that lies above the quantile with a probability of
    # at most TAIL_PROBABILITY, and the lowest sample that lies below the quantile with at most that probability.
    low = int(np.searchsorted(below, TAIL_PROBABILITY, side="right"))
    high = int(np.searchsorted(below, 1 - TAIL_PROBABILITY, side="left")) + 1
    return Interval(ordered[max(low, 1) - 1], ordered[min(high, count) - 1])


def relative_width(ordered: Sequence[float], share: float) -> float:
    """Return the length of a percentile's interval as a share of the percentile; infinite if there is no interval."""
    interval = percentile_interval(ordered, share)
    if interval is None:
        return math.inf
    length = interval.high - interval.low
    # Equal samples may all be 0, which cannot be divided by.
    return length / percentile(ordered, share) if length else 0.0


def refusal(name: str, count: int) -> str:
    """Return why ``count`` samples are too few for the percentile of this name; an empty string if they are enough."""
    needed = min_samples(PERCENTILES[name])
    return "" if count >= needed else f"{name} needs {needed} samples, there are {count}"


def supported_percentile(name: str, ordered: Sequence[float]) -> float | None:
    """Return the percentile of this name of sorted samples; None where they are too few for it."""
    return None if refusal(name, len(ordered)) else percentile(ordered, PERCENTILES[name])


def rate_interval(answered: Iterable[tuple[float, float]], seconds: float) -> Interval | None:
    """Return the interval of a mean rate a second, by Student's t over the rates of ``RATE_WINDOWS`` windows.

    Args:
        answered: for each request its end, in seconds from the start, and the amount that it adds (1, texts or tokens).
        seconds: length of the run.

    Returns:
        The interval at ``CONFIDENCE``; None where there are fewer than ``MIN_RATE_REQUESTS`` requests.
    """
    from scipy.special import stdtrit

    windows = [0.0] * RATE_WINDOWS
    requests = 0
    for end, amount in answered:
        # The last request ends at ``seconds`` exactly, which belongs to the last window.
        windows[min(int(end / seconds * RATE_WINDOWS), RATE_WINDOWS - 1)] += amount
        requests += 1
    if requests < MIN_RATE_REQUESTS:
        return None
    rates = [amount / (seconds / RATE_WINDOWS) for amount in windows]
    half = float(stdtrit(RATE_WINDOWS - 1, 1 - TAIL_PROBABILITY)) * stdev(rates) / math.sqrt(RATE_WINDOWS)
    return Interval(max(0.0, fmean(rates) - half), fmean(rates) + half)
