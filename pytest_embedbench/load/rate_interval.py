"""How sure a rate is, from how it differs between windows of the time in which it was measured.

Windows are taken for independent, which single requests are not: batches are answered together, and what slows a
machine down lasts (method of batch means: Schmeiser 1982, who finds 10 to 30 of them to be enough).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean, stdev

from pytest_embedbench.load.quantiles import TAIL, Interval

WINDOWS = 20

FEWEST = 5 * WINDOWS
"""Requests that an interval needs: with fewer, windows differ by which one a single request falls into."""


def rate_interval(answered: Iterable[tuple[float, float]], seconds: float) -> Interval | None:
    """The interval at 95% of a mean rate a second, by Student's t; None where there are too few requests.

    ``answered`` has the end of each request, in seconds up to ``seconds``, and how much it counts for.
    """
    from scipy.special import stdtrit

    windows = [0.0] * WINDOWS
    requests = 0
    for end, amount in answered:
        windows[min(int(end / seconds * WINDOWS), WINDOWS - 1)] += amount
        requests += 1
    if requests < FEWEST:
        return None
    rates = [amount / (seconds / WINDOWS) for amount in windows]
    half = float(stdtrit(WINDOWS - 1, 1 - TAIL)) * stdev(rates) / math.sqrt(WINDOWS)
    return Interval(max(0.0, fmean(rates) - half), fmean(rates) + half)
