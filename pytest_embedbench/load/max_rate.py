"""Which rate a model holds: the highest at which p99 stays within a limit, found by bisection of an open loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from pytest_embedbench.load.open_loop import OpenLoop, OpenSide
from pytest_embedbench.load.quantiles import PERCENTILES, Interval, fewest, percentile

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Encoder, Role

SHARE = PERCENTILES["p99"]

PRECISION = 0.10
"""The search ends when the lowest rate that failed is no more than this share above the highest that held."""

MOST_PROBES = 16

SearchEnded = Literal["precise", "probes", "time"]


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """One rate (requests a second) that was tried.

    One that is certain to fail ends early, and has no percentiles. ``lag_ms`` is the p99 of how late the load generator
    itself was.
    """

    rate: float
    requests: int
    holds: bool
    p50_ms: float | None = None
    p99_ms: float | None = None
    p99_interval_ms: Interval | None = None
    lag_ms: float = 0.0


class MaxRate(msgspec.Struct, frozen=True, kw_only=True):
    """The highest rate that held ``p99 <= limit_ms`` (0: none did), the lowest that did not, and why the search ended.

    ``refuted`` is None where none failed.
    """

    limit_ms: float
    rate: float
    refuted: float | None
    ended: SearchEnded
    probes: list[Probe]


def max_rate(
    model: Encoder, texts: Sequence[str], role: Role, *, limit_ms: float, batch: int, seconds: float, batch_tokens: int
) -> tuple[MaxRate, list[OpenSide]]:
    """Search for about ``seconds``; what was found, and each probe's samples.

    The first rate is the one at which requests alone would follow each other without a gap.
    """
    sides: list[OpenSide] = []
    with OpenLoop(model, texts, role, batch, batch_tokens) as loop:

        def probe(rate: float) -> Probe:
            requests = needed(rate, limit_ms)
            late = 0

            def hopeless(latency_ms: float) -> bool:
                nonlocal late
                late += latency_ms > limit_ms
                return late > allowed(requests)

            side = loop.run(rate, requests, hopeless)
            sides.append(side)
            return judge(side, limit_ms)

        start = 1000 / loop.alone_ms()
        return search(probe, start, limit_ms=limit_ms, seconds=seconds), sides


def needed(rate: float, limit_ms: float) -> int:
    """Requests of a probe: enough for a p99, and for an overload by ``PRECISION`` to show.

    At a rate of (1 + PRECISION) times what a server can do, the wait grows by PRECISION / (1 + PRECISION) seconds a
    second; the probe lasts until that alone exceeds the limit.
    """
    lasts_s = limit_ms / 1000 * (1 + PRECISION) / PRECISION
    return max(fewest(SHARE), math.ceil(rate * lasts_s))


def allowed(requests: int) -> int:
    """How many of so many latencies may exceed a limit before it is certain that their p99 does."""
    return requests - 1 - int(SHARE * (requests - 1))


def judge(side: OpenSide, limit_ms: float) -> Probe:
    """Did the rate hold? By the measured p99; an early end is a failure."""
    statistics = side.statistics
    p99 = None if side.gave_up else statistics.p99_ms
    return Probe(
        rate=side.rate,
        requests=statistics.requests,
        holds=p99 is not None and p99 <= limit_ms,
        p50_ms=None if side.gave_up else statistics.p50_ms,
        p99_ms=p99,
        p99_interval_ms=None if side.gave_up else statistics.intervals_ms.get("p99"),
        lag_ms=percentile(sorted(side.lags_ms), SHARE),
    )


def search(
    probe: Callable[[float], Probe],
    start: float,
    *,
    limit_ms: float,
    seconds: float,
    clock: Callable[[], float] = time.monotonic,
) -> MaxRate:
    """Double or halve the rate until one holds and one fails, then try the geometric mean of the two, again and again.

    It ends when the two are within ``PRECISION``, after ``MOST_PROBES``, or when the time is up after a probe.
    """
    began = clock()
    probes: list[Probe] = []
    held, failed, rate = 0.0, math.inf, start
    ended: SearchEnded | None = None
    while ended is None:
        probes.append(probe(rate))
        if probes[-1].holds:
            held = rate
        else:
            failed = rate
        if failed <= held * (1 + PRECISION):
            ended = "precise"
        elif len(probes) >= MOST_PROBES:
            ended = "probes"
        elif clock() - began >= seconds:
            ended = "time"
        rate = math.sqrt(held * failed) if held and failed < math.inf else rate * (2 if held else 0.5)
    return MaxRate(
        limit_ms=limit_ms, rate=held, refuted=failed if failed < math.inf else None, ended=ended, probes=probes
    )
