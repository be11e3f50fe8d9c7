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

import msgspec

from pytest_embedbench.load.clients.choose import clients_for
from pytest_embedbench.load.clients.interface import LoadControl, LoadOutcome
from pytest_embedbench.load.closed_loop import LOAD_SEED, SideProfile, measure_side, shuffled_texts
from pytest_embedbench.load.overload import describe_arrivals
from pytest_embedbench.load.samples import Sample, statistics_of
from pytest_embedbench.load.shape import LoadShape, OpenShape
from pytest_embedbench.load.statistics import SideStatistics
from pytest_embedbench.load.stopping import is_precise

if TYPE_CHECKING:
    from types import TracebackType

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.encode.progress import Progress
    from pytest_embedbench.models.protocol import Encoder

WARM_UP_REQUESTS = 20
"""Sent one by one before the first rate of a search."""

WARM_UP_CLIENTS = 4
"""Of a profile: requests of an open loop meet each other, so that what a server does with several is warmed up too."""


def profile_open_side(
    model: Encoder,
    texts: Sequence[str],
    role: Role,
    shape: OpenShape,
    *,
    requests: int,
    seconds: float,
    batch_tokens: int,
    progress: Progress,
) -> SideProfile:
    """Profile one role at one rate, as ``profile_side`` does in a closed loop; the first request is due at once."""
    warm_up = LoadShape(shape.batch, WARM_UP_CLIENTS)
    with clients_for(model, role, warm_up, batch_tokens) as clients:

        def send(counted: Sequence[list[str]]) -> LoadOutcome:
            due = itertools.islice(arrivals(shape.rate, random.Random(LOAD_SEED)), len(counted))
            return clients.open(zip(due, counted, strict=True), LoadControl(seconds, is_precise, progress.advance))

        found = measure_side(clients, texts, role, warm_up, send, requests=requests, seconds=seconds, progress=progress)
    came = describe_arrivals(found.samples, shape.rate, found.statistics.unanswered)
    return found._replace(statistics=msgspec.structs.replace(found.statistics, arrivals=came))


class OpenSide(NamedTuple):
    """One side's statistics at a rate, and the samples behind them.

    ``sent_s`` of a sample is when it was due. ``gave_up`` says that it ended early, as ``hopeless`` asked for; then
    ``statistics`` are of the requests until then.
    """

    rate: float
    statistics: SideStatistics
    samples: list[Sample]
    gave_up: bool


class OpenLoop:
    """Loads one server, rate after rate; use as a context manager. Texts go round, in the closed loop's order."""

    def __init__(self, model: Encoder, texts: Sequence[str], role: Role, batch: int, batch_tokens: int) -> None:
        self.role, self.batch = role, batch
        self._clients = clients_for(model, role, LoadShape(batch, 1), batch_tokens)
        self._texts = itertools.cycle(shuffled_texts(texts))
        self._chance = random.Random(LOAD_SEED)

    def __enter__(self) -> Self:
        self._running = self._clients.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clients.__exit__(kind, error, trace)

    def alone_ms(self) -> float:
        """Warm up, request by request; the median latency of the second half."""
        answered = self._running.closed(list(self._requests(WARM_UP_REQUESTS))).answered
        return median(one.sample.latency_ms for one in answered[WARM_UP_REQUESTS // 2 :])

    def run(
        self,
        rate: float,
        requests: int,
        hopeless: Callable[[Sequence[float]], bool] = lambda _: False,
        advance: Callable[[int], None] = lambda _: None,
    ) -> OpenSide:
        """Send so many requests at ``rate`` a second; stop sending once ``hopeless`` says so of the latencies (ms).

        ``advance`` hears of texts done.

        Raises:
            ModelError, or what else the model raises: the first failure ends the load.
        """
        formed = len(self._running.batches)
        due = itertools.islice(arrivals(rate, self._chance), requests)
        timed = zip(due, self._requests(requests), strict=True)
        sent = self._running.open(timed, LoadControl(enough=hopeless, advance=advance))
        statistics = statistics_of(sent.answered, self.batch, self._running.batches[formed:])
        samples = [one.sample for one in sent.answered]
        return OpenSide(rate, statistics, samples, gave_up=sent.ended is not None)

    def _requests(self, count: int) -> Iterator[list[str]]:
        return ([next(self._texts) for _ in range(self.batch)] for _ in range(count))


def arrivals(rate: float, chance: random.Random) -> Iterator[float]:
    """Times in seconds at which requests of a Poisson process are due, ``rate`` a second, without end.

    They count from the first one: at a low rate the time before it could take all that there is.
    """
    return itertools.accumulate((chance.expovariate(rate) for _ in itertools.repeat(None)), initial=0.0)
