"""Search for a model's highest rate: the highest at which p99 stays within a limit, by bisection of an open loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pytest_embedbench.load.notes import MAX_CLIENT_SHARE
from pytest_embedbench.load.open_loop import OpenLoop, OpenSide
from pytest_embedbench.load.quantiles import PERCENTILES, min_samples
from pytest_embedbench.load.rates import MAX_PROBES, MaxRate, RateProbe, SearchEnded
from pytest_embedbench.load.samples import lateness_ms

if TYPE_CHECKING:
    from pytest_embedbench.encode.progress import Progress

P99_SHARE = PERCENTILES["p99"]
"""Share of the samples below the p99."""

PRECISION = 0.10
"""Share; a search ends when the lowest rate that failed is no more than this above the highest that held."""


def max_rate(
    loop: OpenLoop, *, limit_ms: float, seconds: float, progress: Progress, required: Sequence[float] = ()
) -> tuple[MaxRate, list[OpenSide]]:
    """Search for the highest rate whose p99 stays within ``limit_ms``; return it with the samples of each probe.

    The first rate is the one at which single requests would follow each other without a gap.

    Args:
        loop: sends the requests.
        limit_ms: limit of the p99.
        seconds: approximate length of the search.
        progress: callbacks for each probe.
        required: rates for which the search must find out whether they hold, however long that takes.
    """
    sides: list[OpenSide] = []

    def probe(rate: float) -> RateProbe:
        requests = requests_needed(rate, limit_ms)

        def is_hopeless(latencies_ms: Sequence[float]) -> bool:
            return sum(latency > limit_ms for latency in latencies_ms) > allowed_over_limit(requests)

        progress.start(f"{loop.role} at {rate:.3g}/s load", requests * loop.batch)
        try:
            side = loop.run(rate, requests, is_hopeless, progress.advance)
        finally:
            progress.finish()
        sides.append(side)
        return judge_rate(side, limit_ms)

    start = 1000 / loop.alone_ms()
    return search(probe, start, limit_ms=limit_ms, seconds=seconds, required=required), sides


def requests_needed(rate: float, limit_ms: float) -> int:
    """Return the requests of a probe: enough for a p99, and for an overload by ``PRECISION`` to show.

    At (1 + PRECISION) times the rate that a server can answer, the wait grows by PRECISION / (1 + PRECISION) seconds a
    second; the probe lasts until this growth alone exceeds the limit.
    """
    lasts_s = limit_ms / 1000 * (1 + PRECISION) / PRECISION
    return max(min_samples(P99_SHARE), math.ceil(rate * lasts_s))


def allowed_over_limit(requests: int) -> int:
    """Return the number of latencies that may exceed a limit; with one more, the p99 is certain to exceed it too."""
    # The p99 lies between the sorted samples at int(position) and int(position) + 1, with position = P99_SHARE *
    # (requests - 1). It is certain to exceed the limit once the lower of the two does.
    return requests - 1 - int(P99_SHARE * (requests - 1))


def judge_rate(side: OpenSide, limit_ms: float) -> RateProbe:
    """Return the result of one rate: it held if its p99 is within the limit and it was not given up early.

    A rate at which the load client used most of its core and sent requests late failed for the client, not for the
    server.
    """
    statistics = side.statistics
    p99 = None if side.gave_up else statistics.p99_ms
    holds = p99 is not None and p99 <= limit_ms
    lag_ms = lateness_ms(side.samples)
    late = lag_ms > MAX_CLIENT_SHARE * limit_ms and (side.client_share or 0.0) > MAX_CLIENT_SHARE
    return RateProbe(
        rate=side.rate,
        requests=statistics.requests,
        holds=holds,
        p50_ms=None if side.gave_up else statistics.p50_ms,
        p99_ms=p99,
        p99_interval_ms=None if side.gave_up else statistics.intervals_ms.get("p99"),
        lag_ms=lag_ms,
        client_limited=late and not holds,
    )


def search(
    probe: Callable[[float], RateProbe],
    start: float,
    *,
    limit_ms: float,
    seconds: float,
    required: Sequence[float] = (),
    clock: Callable[[], float] = time.monotonic,
) -> MaxRate:
    """Double or halve the rate until one holds and one fails, then bisect between them by their geometric mean.

    The search ends when the two are within ``PRECISION``, or after a probe when the time is up, but not while a
    required rate lies between them. It ends after ``MAX_PROBES`` in any case.

    Args:
        probe: tries one rate (requests a second).
        start: the first rate.
        limit_ms: limit of the p99.
        seconds: approximate length of the search.
        required: rates for which the search must find out whether they hold.
        clock: time in seconds.
    """
    began = clock()
    probes: list[RateProbe] = []
    held, failed, rate = 0.0, math.inf, start
    ended: SearchEnded | None = None
    while ended is None:
        probes.append(probe(rate))
        if probes[-1].holds:
            held = rate
        else:
            failed = rate
        undecided = [wanted for wanted in required if held < wanted < failed]
        if failed <= held * (1 + PRECISION) and not undecided:
            ended = "precise"
        elif len(probes) >= MAX_PROBES:
            ended = "probes"
        elif clock() - began >= seconds and not undecided:
            ended = "time"
        rate = next_rate(held, failed, undecided)
    return MaxRate(
        limit_ms=limit_ms, rate=held, refuted=failed if failed < math.inf else None, ended=ended, probes=probes
    )


def next_rate(held: float, failed: float, required: Sequence[float]) -> float:
    """Return the rate to try next: the next step of the bisection, or a required rate where the step would pass it.

    ``required`` has the required rates between ``held`` and ``failed``. A distant rate is approached by doubling or
    halving: at a rate far too high, requests pile up, and the probe takes long.
    """
    if failed == math.inf:
        return min(2 * held, *required) if required else 2 * held
    if not held:
        return max(failed / 2, *required) if required else failed / 2
    return required[0] if required else math.sqrt(held * failed)
