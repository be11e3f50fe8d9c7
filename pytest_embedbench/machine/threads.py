"""Pools of threads that run batches: torch's threads are divided among them where several run at once on a CPU.

torch is imported where it is used: a served model is put under load without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

MAX_WORKERS = 4
"""Workers that run at once, at most: each holds the activations of a batch in memory."""

BATCHER_THREAD = "embedbench-batcher"
"""Name of the threads in which the load profiles' server runs a batch alone."""


def workers() -> int:
    """Return the number of batches that may run at once, from torch's threads (``OMP_NUM_THREADS``).

    Return 1 when only one batch can run.
    """
    import torch

    return min(MAX_WORKERS, torch.get_num_threads())


@contextmanager
def side_by_side() -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of workers with an equal share of torch's threads each.

    Afterwards torch has as many threads as before.
    """
    import torch

    threads, count = torch.get_num_threads(), workers()
    with ThreadPoolExecutor(count, "embedbench-encode", torch.set_num_threads, (threads // count,)) as pool:
        try:
            yield pool
        finally:
            # In OpenMP each thread has a setting of its own; MKL has one for the process, which the workers changed.
            torch.set_num_threads(threads)


def one_thread() -> ThreadPoolExecutor:
    """Return a pool of one thread, for a model that runs one batch at a time."""
    return ThreadPoolExecutor(1, BATCHER_THREAD)


@contextmanager
def with_all_cores() -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of one thread that has all of torch's threads, whatever share other pools give to theirs.

    The number is set explicitly, since torch gives a new thread the number that was last set in any thread.
    """
    import torch

    with ThreadPoolExecutor(1, BATCHER_THREAD, torch.set_num_threads, (torch.get_num_threads(),)) as pool:
        yield pool
