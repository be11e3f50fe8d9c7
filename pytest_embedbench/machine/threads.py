"""How torch's threads are shared out where several batches run at once on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

MAX_WORKERS = 4
"""Workers at once: each holds the activations of a batch."""


def workers() -> int:
    """Batches that may run at once, from the threads that torch has (``OMP_NUM_THREADS``); 1 is no company."""
    return min(MAX_WORKERS, torch.get_num_threads())


@contextmanager
def side_by_side() -> Iterator[ThreadPoolExecutor]:
    """A pool whose threads have an equal share of torch's threads each; these are as before afterwards."""
    threads, count = torch.get_num_threads(), workers()
    with ThreadPoolExecutor(count, "embedbench-encode", torch.set_num_threads, (threads // count,)) as pool:
        try:
            yield pool
        finally:
            # The setting is each thread's own in OpenMP and the process's in MKL.
            torch.set_num_threads(threads)


BATCHER_THREAD = "embedbench-batcher"


def one_thread() -> ThreadPoolExecutor:
    """A pool of one thread, for a model that knows of no workers."""
    return ThreadPoolExecutor(1, BATCHER_THREAD)


@contextmanager
def with_all_cores() -> Iterator[ThreadPoolExecutor]:
    """A pool of one thread that has all threads of torch, whatever share other pools give to theirs.

    Said explicitly: torch gives a new thread the number that was last set anywhere.
    """
    import torch

    with ThreadPoolExecutor(1, BATCHER_THREAD, torch.set_num_threads, (torch.get_num_threads(),)) as pool:
        yield pool
