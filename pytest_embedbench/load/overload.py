"""Did a server keep up with the rate of an open loop? Else requests pile up, and latency grows as long as that lasts.

Its growth is the slope of Tukey's resistant line (Exploratory Data Analysis, 1977): from the median of the first third
of the requests to that of the last one. Where r times as many requests come as can be done, each second brings work for
r seconds, so that latency grows by r - 1 seconds in a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from pytest_embedbench.load.samples import Sample, lateness_ms
from pytest_embedbench.load.statistics import Arrivals

MAX_GROWTH = 0.10
"""The server has not kept up where more than 1 + GROWTH times as many requests came as it can do."""

MIN_LATENCY_FACTOR = 2
"""By which latency must have grown too: in a short time a slope alone may be that of one slow batch."""

MIN_REQUESTS = 30
"""Requests that show a slope; with fewer it is mostly chance."""


def describe_arrivals(samples: Sequence[Sample], rate: float, unanswered: int) -> Arrivals:
    """What an open loop's samples say; ``unanswered`` requests were given up, so the server had not kept up."""
    ordered = sorted(samples)
    third = -(-len(ordered) // 3)
    first, last = ordered[:third], ordered[-third:]
    early_ms, late_ms = (median(sample.latency_ms for sample in part) for part in (first, last))
    between_ms = 1000 * (median(sample.sent_s for sample in last) - median(sample.sent_s for sample in first))
    growth = (late_ms - early_ms) / between_ms if len(ordered) >= MIN_REQUESTS else 0.0
    kept_up: bool | None = not unanswered and not (growth > MAX_GROWTH and late_ms >= MIN_LATENCY_FACTOR * early_ms)
    # Even if twice as many came as can be done (a growth of 1), latency would not have grown by so many times.
    if kept_up and early_ms + between_ms < MIN_LATENCY_FACTOR * early_ms:
        kept_up = None
    return Arrivals(
        rate_per_s=rate,
        seconds=ordered[-1].sent_s,
        lag_ms=lateness_ms(samples),
        growth=growth,
        kept_up=kept_up,
    )
