"""Batches side by side: several at once on a CPU, each on its share of the cores; one after the other on a GPU.

One batch on all cores waits for the slowest of them after every layer; several batches wait for nobody. Work of the
main thread (cutting batches, storing vectors, searching) goes on meanwhile.
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
"""Batches handed out for each worker, so that none waits while vectors are stored."""

Job = TypeVar("Job")


class TimedVectors(NamedTuple):
    """A batch's vectors and the time that its worker took for them."""

    vectors: Vectors
    seconds: float


def run_batches(
    model: Encoder, jobs: Iterator[Job], forward: Callable[[Job], Vectors]
) -> Generator[tuple[Job, TimedVectors]]:
    """Each job with its vectors, in their order; jobs are drawn as they are needed.

    A ``ParallelEncoder`` runs several at once where there are enough of them; others run one by one in this thread.
    """

    def timed(job: Job) -> TimedVectors:
        started = time.perf_counter()
        vectors = forward(job)
        return TimedVectors(vectors, time.perf_counter() - started)

    workers = model.workers if isinstance(model, ParallelEncoder) else 0
    first = list(islice(jobs, workers))
    jobs = chain(first, jobs)
    if not isinstance(model, ParallelEncoder) or len(first) < workers:
        for job in jobs:
            yield job, timed(job)
        return
    with model.side_by_side() as pool:
        waiting: deque[tuple[Job, Future[TimedVectors]]] = deque()
        try:
            for job in jobs:
                waiting.append((job, pool.submit(timed, job)))
                if len(waiting) > BATCHES_AHEAD * workers:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            pool.shutdown(cancel_futures=True)
