"""Two models under the same load, side by side: each window of requests goes to one model, then to the other.

Changes over time (the processor's clock, other work on the machine) affect both models alike; two profiles, one after
the other, cannot ensure that.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from pytest_embedbench.load.closed_loop import LOAD_SEED, WARM_UP_ROUNDS, shuffled_texts
from pytest_embedbench.load.ratio import SideSlowdown, Stopped, TimedPair, ratio_of
from pytest_embedbench.load.received import ReceivedSample
from pytest_embedbench.load.server import MicroBatcher
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.models.protocol import ParallelEncoder

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.encode.progress import Progress
    from pytest_embedbench.models.protocol import Encoder, ModelFacts, PreparedText, Vectors

MAX_WIDTH = 0.05
"""Share; a side ends when its interval is no wider than this share of the ratio."""

MIN_PAIRS_TO_STOP = 40
"""Pairs that an interval needs before it may end the side. Sampling until a width is reached keeps the interval's
confidence only for many pairs (Chow & Robbins 1965)."""

MIN_PAIRS = 5
"""Pairs that are measured in any case, however short the time is."""

CHECK_EVERY = 20
"""Pairs between two checks of the interval's width."""

MIN_TIME_MS = 0.0001
"""Milliseconds; stands for a time too short for the clock, and is the precision of the samples."""


class Conditions(NamedTuple):
    """Settings of a comparison: seconds that a side may take, the interval's confidence, and the server's batch tokens.

    ``progress`` has the callbacks for the texts done; ``clock`` returns the time in seconds.
    """

    seconds: float
    confidence: float
    batch_tokens: int
    progress: Progress
    clock: Callable[[], float] = time.perf_counter


class _AlternatingEncoder:
    """Encoder that stands for one of two models at a time; ``turn`` (0 or 1) says which.

    It lets one server serve both models. Two servers would have a thread pool each (OpenMP keeps a pool for each thread
    that calls it), and the way in which the system places those threads on cores would make one of the models slower
    for as long as the pools last.
    """

    def __init__(self, models: tuple[Encoder, Encoder]) -> None:
        self._models = models
        self.turn = 0

    @property
    def facts(self) -> ModelFacts:
        return self._models[self.turn].facts

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        return self._models[self.turn].prepare(texts, role)

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        return self._models[self.turn].forward(batch, role)

    @property
    def workers(self) -> int:
        return min(model.workers if isinstance(model, ParallelEncoder) else 1 for model in self._models)

    def side_by_side(self) -> AbstractContextManager[Executor]:
        return next(model.side_by_side() for model in self._models if isinstance(model, ParallelEncoder))


class PairedSide(NamedTuple):
    """The ratio of one side, with its pairs of times."""

    statistics: SideSlowdown
    pairs: list[TimedPair]


def compare_side(
    models: tuple[Encoder, Encoder],
    texts: Sequence[str],
    role: Role,
    shape: LoadShape,
    conditions: Conditions,
) -> PairedSide:
    """Time a model against its baseline (``models``, in this order) for one role.

    A window is one request from each of ``shape.concurrency`` clients, all sent at once; its time runs from the first
    send to the last answer (for one client, that is the request's latency). A window begins when the one before is
    answered, so that the models never share the device.

    A pair is the same window for both models. The order is random in one pair and reversed in the next: the second
    model may find something warm, and a machine that slows down steadily must favour neither. The first
    ``WARM_UP_ROUNDS`` pairs do not count.

    Texts are drawn without repetition until there are no more, then again in the same order.
    """
    seconds, confidence, batch_tokens, progress, clock = conditions
    chance = random.Random(LOAD_SEED)
    unique = shuffled_texts(texts, chance)
    endless = itertools.cycle(unique)
    alternating = _AlternatingEncoder(models)
    pairs: list[TimedPair] = []
    received = [ReceivedSample(model, role, formed=True) for model in models]
    # The total is unknown: the interval decides how many pairs are measured.
    progress.start(f"{role} speed load", 0)
    try:
        with (
            MicroBatcher(alternating, batch_tokens) as server,
            ThreadPoolExecutor(shape.concurrency, "embedbench-client") as clients,
        ):

            def one_pair(since: float, *, model_first: bool) -> TimedPair:
                window = [list(itertools.islice(endless, shape.batch)) for _ in range(shape.concurrency)]
                sent = clock() - since
                times_ms = [0.0, 0.0]
                # The loop sets the attribute itself, so that the server runs the model whose turn it is.
                for alternating.turn in (0, 1) if model_first else (1, 0):
                    times_ms[alternating.turn] = _time_ms(
                        server, window, role, clients, clock, received[alternating.turn]
                    )
                progress.advance(2 * shape.batch * shape.concurrency)
                return TimedPair(round(sent, 6), times_ms[0], times_ms[1], int(model_first))

            for _ in range(WARM_UP_ROUNDS):  # not counted
                one_pair(0.0, model_first=True)
            start = clock()
            orders = _orders(chance)
            stopped: Stopped | None = None
            while stopped is None:
                pairs.append(one_pair(start, model_first=next(orders)))
                stopped = _stop_reason(pairs, clock() - start, seconds, confidence)
            wall = clock() - start
    finally:
        progress.finish()
    for sample in received:
        sample.verify()
    result = ratio_of(pairs, confidence)
    texts_sent = len(pairs) * shape.batch * shape.concurrency
    statistics = SideSlowdown(
        ratio=result.ratio,
        low=result.low,
        high=result.high,
        confidence=confidence,
        pairs=len(pairs),
        model_ms=median(pair.model_ms for pair in pairs),
        baseline_ms=median(pair.baseline_ms for pair in pairs),
        seconds=wall,
        stopped=stopped,
        texts=texts_sent,
        distinct_texts=min(texts_sent, len(unique)),
    )
    return PairedSide(statistics, pairs)


def _orders(chance: random.Random) -> Iterator[bool]:
    """Yield, for each pair and without end, whether the model goes first: at random, then the reverse."""
    while True:
        first = chance.random() < 0.5  # noqa: PLR2004 - a fair coin
        yield from (first, not first)


def _time_ms(
    server: MicroBatcher,
    window: Sequence[Sequence[str]],
    role: Role,
    clients: ThreadPoolExecutor,
    clock: Callable[[], float],
    sample: ReceivedSample,
) -> float:
    """Return the milliseconds from the first send of a window to its last answer; ``sample`` gets its vectors."""

    def send(batch: Sequence[str]) -> tuple[float, float]:
        sent = clock()
        reply = server.serve(batch, role)
        answered = clock()
        sample.add(batch, reply.texts, reply.vectors)
        return sent, answered

    times = list(clients.map(send, window))
    elapsed = max(answered for _, answered in times) - min(sent for sent, _ in times)
    return max(MIN_TIME_MS, round(elapsed * 1000, 4))


def _stop_reason(pairs: Sequence[TimedPair], elapsed: float, seconds: float, confidence: float) -> Stopped | None:
    """Return why to stop now, or None to go on.

    The ratio itself plays no part: to stop as soon as it gives the wanted verdict would bias it.
    """
    count = len(pairs)
    if count >= MIN_PAIRS_TO_STOP and count % CHECK_EVERY == 0 and ratio_of(pairs, confidence).width <= MAX_WIDTH:
        return "precise"
    return "time" if count >= MIN_PAIRS and elapsed >= seconds else None
