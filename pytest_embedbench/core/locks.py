"""Locks between processes, whose waits are shown."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_embedbench.core.waits import waiting_for

POLL_SECONDS = 0.1
"""Seconds between two attempts to take a lock."""


@contextmanager
def file_locked(path: Path, what: str, *, seconds: float = math.inf) -> Iterator[None]:
    """Hold a lock file while the block runs; a wait for it is shown as one for ``what``.

    Raises:
        filelock.Timeout: another process has held it for so many ``seconds``.
    """
    lock, end = FileLock(path), time.monotonic() + seconds
    with waiting_for(what) as still:
        while True:
            try:
                lock.acquire(timeout=POLL_SECONDS, poll_interval=POLL_SECONDS / 2)
                break
            except Timeout:
                if time.monotonic() >= end:
                    raise
                still()
    try:
        yield
    finally:
        lock.release()
