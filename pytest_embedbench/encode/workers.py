"""Run batches: several at once on a CPU, each on its share of the cores; one after the other on a GPU.

One batch on all cores has to wait for the slowest core after every layer; several batches, each on few cores, hardly
wait. The main thread cuts batches, stores vectors and searches meanwhile.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pytest_embedbench.models.protocol import ParallelEncoder

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pytest_embedbench.models.protocol import Encoder, Vectors

BATCHES_AHEAD = 2
"""Batches handed out for each worker, so that no worker waits while vectors are stored."""

T = TypeVar("T")


class TimedVectors(NamedTuple):
    """Vectors of a batch, and the seconds that its worker took."""

    vectors: Vectors
    seconds: float


def run_batches(
    model: Encoder, batches: Iterator[T], forward: Callable[[T], Vectors]
) -> Generator[tuple[T, TimedVectors]]:
    """Yield batches with their vectors, in order; batches are drawn as they are needed.

    A ``ParallelEncoder`` runs several batches at once, unless there are fewer than its workers; any other model runs
    one after the other in this thread.

    Args:
        model: the model that runs them.
        batches: the batches.
        forward: computes the vectors of a batch.
    """

    def timed(batch: T) -> TimedVectors:
        started = time.perf_counter()
        vectors = forward(batch)
        return TimedVectors(vectors, time.perf_counter() - started)

    # With fewer batches than workers, some cores would idle: then each batch gets all of them, one after the other.
    workers = model.workers if isinstance(model, ParallelEncoder) else 0
    head = list(islice(batches, workers))
    batches = chain(head, batches)
    if not isinstance(model, ParallelEncoder) or len(head) < workers:
        for batch in batches:
            yield batch, timed(batch)
        return
    with model.side_by_side() as pool:
        in_flight: deque[tuple[T, Future[TimedVectors]]] = deque()
        try:
            for batch in batches:
                in_flight.append((batch, pool.submit(timed, batch)))
                if len(in_flight) > BATCHES_AHEAD * workers:
                    oldest, future = in_flight.popleft()
                    yield oldest, future.result()
            while in_flight:
                oldest, future = in_flight.popleft()
                yield oldest, future.result()
        finally:
            pool.shutdown(cancel_futures=True)
