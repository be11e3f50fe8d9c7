"""An open loop: requests are sent when they are due, at random times of a given rate, however long answers take.

Latency runs from the time at which a request was due, not from when a client got round to sending it: what a stall
keeps from being sent counts as waiting ("coordinated omission": Tene 2013; Schroeder, Wierman & Harchol-Balter 2006
compare the two kinds of loop).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple, Self

from pytest_embedbench.load.clients import clients_of
from pytest_embedbench.load.closed_loop import SEED, sampled
from pytest_embedbench.load.samples import Sample, statistics_of
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.load.statistics import SideStatistics

if TYPE_CHECKING:
    from types import TracebackType

    from pytest_embedbench.models.protocol import Encoder, Role

WARM_UP_REQUESTS = 20
"""Sent one by one before the first due time."""


class OpenSide(NamedTuple):
    """One side's statistics at a rate, the samples behind them, and the load generator's part in them.

    ``sent_s`` of a sample is when it was due. ``lags_ms`` is how late each was really sent, which is part of its
    latency. ``gave_up`` says that it ended early, as ``give_up`` asked for; then ``statistics`` are of the
    requests until then.
    """

    rate: float
    statistics: SideStatistics
    samples: list[Sample]
    lags_ms: list[float]
    gave_up: bool


class OpenLoop:
    """Loads one server, rate after rate; use as a context manager. Texts go round, in the closed loop's order."""

    def __init__(self, model: Encoder, texts: Sequence[str], role: Role, batch: int, batch_tokens: int) -> None:
        self._batch = batch
        self._clients = clients_of(model, role, LoadShape(batch, 1), batch_tokens)
        self._texts = itertools.cycle(sampled(texts))
        self._chance = random.Random(SEED)

    def __enter__(self) -> Self:
        self._running = self._clients.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clients.__exit__(kind, error, trace)

    def alone_ms(self) -> float:
        """Warm up, request by request; the median latency of the second half."""
        answered, _ = self._running.closed(list(self._requests(WARM_UP_REQUESTS)))
        return median(one.sample.latency_ms for one in answered[WARM_UP_REQUESTS // 2 :])

    def run(self, rate: float, requests: int, give_up: Callable[[float], bool] = lambda _: False) -> OpenSide:
        """Send so many requests at ``rate`` a second; stop sending once ``give_up`` says so of a latency (ms).

        Raises:
            ModelError, or what else the model raises: the first failure ends the load.
        """
        formed = len(self._running.batches)
        due = itertools.islice(arrivals(rate, self._chance), requests)
        timed = zip(due, self._requests(requests), strict=True)
        sent = self._running.open(timed, give_up)
        statistics = statistics_of(sent.answered, self._batch, self._running.batches[formed:])
        return OpenSide(rate, statistics, [one.sample for one in sent.answered], sent.lags_ms, sent.gave_up)

    def _requests(self, count: int) -> Iterator[list[str]]:
        return ([next(self._texts) for _ in range(self._batch)] for _ in range(count))


def arrivals(rate: float, chance: random.Random) -> Iterator[float]:
    """Times in seconds at which requests of a Poisson process are due, ``rate`` a second, without end."""
    return itertools.accumulate(chance.expovariate(rate) for _ in itertools.repeat(None))
