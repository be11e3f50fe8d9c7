"""Judge whether a server kept up with the rate of an open loop.

If it did not, requests pile up, and latency grows for as long as the load lasts. Where requests come at r times the
rate that the server can answer, each second brings work for r seconds, so that latency grows by r - 1 seconds a second.

This growth is measured as the slope of Tukey's resistant line (Exploratory Data Analysis, 1977), which runs from the
median of the first third of the requests to the median of the last third.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from pytest_embedbench.load.samples import Sample, lateness_ms
from pytest_embedbench.load.statistics import Arrivals

MAX_GROWTH = 0.10
"""Seconds in a second; where latency grows faster, the server has not kept up with the rate."""

MIN_LATENCY_FACTOR = 2
"""Factor by which latency must have grown as well: over a short time, one slow batch alone can make a slope."""

MIN_REQUESTS = 30
"""Requests that a slope needs; with fewer it is mostly chance."""


def describe_arrivals(samples: Sequence[Sample], rate: float, unanswered: int) -> Arrivals:
    """Return how the requests of an open loop came, and whether the server kept up with them.

    Args:
        samples: samples of the answered requests.
        rate: the rate asked for, in requests a second.
        unanswered: requests that were given up; where there are any, the server did not keep up.
    """
    ordered = sorted(samples)
    third = -(-len(ordered) // 3)  # rounded up, so that one request is enough
    first, last = ordered[:third], ordered[-third:]
    early_ms, late_ms = (median(sample.latency_ms for sample in part) for part in (first, last))
    between_ms = 1000 * (median(sample.sent_s for sample in last) - median(sample.sent_s for sample in first))
    growth = (late_ms - early_ms) / between_ms if len(ordered) >= MIN_REQUESTS else 0.0
    kept_up: bool | None = not unanswered and not (growth > MAX_GROWTH and late_ms >= MIN_LATENCY_FACTOR * early_ms)
    # Too short to tell: even a growth of 1 (twice the rate that the server can answer) would not reach the factor.
    if kept_up and early_ms + between_ms < MIN_LATENCY_FACTOR * early_ms:
        kept_up = None
    return Arrivals(
        rate_per_s=rate,
        seconds=ordered[-1].sent_s,
        lag_ms=lateness_ms(samples),
        growth=growth,
        kept_up=kept_up,
    )
