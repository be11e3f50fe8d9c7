"""Profiles by an open loop: requests are sent when due, at random times of a given rate, however long answers take.

Latency runs from the time at which a request was due, not from the time at which a client sent it. The wait of
requests that a stall delays thus counts; leaving it out is called "coordinated omission" (Tene 2013). Schroeder,
Wierman & Harchol-Balter (2006) compare the two kinds of loop.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple, Self

import msgspec

from pytest_embedbench.load.clients.choose import clients_for
from pytest_embedbench.load.clients.interface import MAX_OVERTIME, LoadControl, LoadOutcome
from pytest_embedbench.load.closed_loop import LOAD_SEED, SideProfile, measure_side, shuffled_texts
from pytest_embedbench.load.overload import MIN_REQUESTS, describe_arrivals
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
"""Requests sent one by one before the first rate of a search."""

WARM_UP_CLIENTS = 4
"""Clients of a profile's warm-up; more than one, since an open loop has several requests in flight at once."""


def profile_open_side(  # noqa: PLR0913 - by keyword, what decides how long a side takes
    model: Encoder,
    texts: Sequence[str],
    role: Role,
    shape: OpenShape,
    *,
    requests: int,
    seconds: float,
    batch_tokens: int,
    progress: Progress,
    least: int = 0,
) -> SideProfile:
    """Profile one role at one rate, as ``profile_side`` does in a closed loop; the first request is due at time 0.

    Where a budget needs ``least`` requests, texts are sent again until the time is up: the load must also be long
    enough to tell whether the server keeps up.
    """
    warm_up = LoadShape(shape.batch, WARM_UP_CLIENTS)
    if least:
        least = max(least, MIN_REQUESTS)
        # At a rate far too low for the samples, even overtime would not bring them.
        least = least if shape.rate * seconds * MAX_OVERTIME >= least else 0
        repeated = min(requests, max(least, math.ceil(2 * shape.rate * seconds)))  # more than will be due
    else:
        repeated = 0
    with clients_for(model, role, warm_up, batch_tokens) as clients:

        def send(counted: Sequence[list[str]], advance: Callable[[int], None]) -> LoadOutcome:
            # A generator of its own, so that the times are the same for both sides and in every session.
            due = itertools.islice(arrivals(shape.rate, random.Random(LOAD_SEED)), len(counted))
            control = LoadControl(seconds, is_precise, advance, least)
            return clients.open(zip(due, counted, strict=True), control)

        side = measure_side(
            clients, texts, role, warm_up, send, requests=requests, seconds=seconds, progress=progress, least=repeated
        )
    description = describe_arrivals(side.samples, shape.rate, side.statistics.unanswered)
    return side._replace(statistics=msgspec.structs.replace(side.statistics, arrivals=description))


class OpenSide(NamedTuple):
    """Statistics of one side at one rate, with the samples behind them.

    A sample's ``sent_s`` is when its request was due. ``gave_up`` says that the load ended early because it was
    hopeless; then ``statistics`` are of the requests until its end. ``client_share`` is the share of one core that the
    load client used; None where it shares a process with the model.
    """

    rate: float
    statistics: SideStatistics
    samples: list[Sample]
    gave_up: bool
    client_share: float | None = None


class OpenLoop:
    """Open loops at several rates on one server, one after the other; use as a context manager.

    Texts are reused cyclically, in the closed loop's order.

    Args:
        model: the model under load.
        texts: texts of the role.
        role: query or document.
        batch: texts a request.
        batch_tokens: tokens that a batch of the in-process server may hold.
    """

    def __init__(self, model: Encoder, texts: Sequence[str], role: Role, batch: int, batch_tokens: int) -> None:
        self.role, self.batch = role, batch
        # The concurrency is that of closed loops only: ``alone_ms`` sends one request at a time.
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
        """Warm up with one request at a time; return the median latency (ms) of the second half."""
        answered = self._running.closed(list(self._requests(WARM_UP_REQUESTS))).answered
        return median(request.sample.latency_ms for request in answered[WARM_UP_REQUESTS // 2 :])

    def run(
        self,
        rate: float,
        requests: int,
        is_hopeless: Callable[[Sequence[float]], bool] = lambda _: False,
        advance: Callable[[int], None] = lambda _: None,
    ) -> OpenSide:
        """Send requests at ``rate`` a second and return the side's statistics.

        Args:
            rate: requests a second.
            requests: number of requests.
            is_hopeless: judges the latencies so far (ms); once it returns True, the load is given up.
            advance: called with the number of texts answered since its last call.

        Raises:
            ModelError: or another error of the model; the first failure ends the load.
        """
        formed = len(self._running.batches)
        due = itertools.islice(arrivals(rate, self._chance), requests)
        timed = zip(due, self._requests(requests), strict=True)
        outcome = self._running.open(timed, LoadControl(is_enough=is_hopeless, advance=advance))
        statistics = statistics_of(outcome.answered, self.batch, self._running.batches[formed:])
        samples = [request.sample for request in outcome.answered]
        return OpenSide(rate, statistics, samples, outcome.ended is not None, outcome.cpu_share)

    def verify(self) -> None:
        """Verify a sample of the vectors that came at all rates.

        Raises:
            ModelError: a text got another vector under load, or the model failed.
        """
        self._running.verify()

    def _requests(self, count: int) -> Iterator[list[str]]:
        return ([next(self._texts) for _ in range(self.batch)] for _ in range(count))


def arrivals(rate: float, chance: random.Random) -> Iterator[float]:
    """Yield the due times (seconds) of a Poisson process of ``rate`` requests a second, without end.

    The first request is due at 0: at a low rate, a random wait before it could use up all the time of the load.
    """
    return itertools.accumulate((chance.expovariate(rate) for _ in itertools.repeat(None)), initial=0.0)
