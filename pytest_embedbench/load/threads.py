"""A thread for a batch that has the device to itself."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

NAME = "embedbench-batcher"


def one_thread() -> ThreadPoolExecutor:
    """A pool of one thread, for a model that knows of no workers."""
    return ThreadPoolExecutor(1, NAME)


@contextmanager
def with_all_cores() -> Iterator[ThreadPoolExecutor]:
    """A pool of one thread that has all threads of torch, whatever share other pools give to theirs.

    Said explicitly: torch gives a new thread the number that was last set anywhere.
    """
    import torch

    with ThreadPoolExecutor(1, NAME, torch.set_num_threads, (torch.get_num_threads(),)) as pool:
        yield pool
