"""Progress of a load that ends with its time: the texts that its rate lets expect until then."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_embedbench.encode.progress import Progress


@contextmanager
def shown_progress(
    progress: Progress, label: str, total: int, *, seconds: float, least: int = 0
) -> Iterator[Callable[[int], None]]:
    """Show the progress while the block runs; yield the function that takes the number of texts answered since last.

    The total that is shown is what the rate so far will reach within the time, so that the time to go is right for a
    slow server too.

    Args:
        progress: the callbacks.
        label: what is done.
        total: texts that are sent at most.
        seconds: approximate time after which sending ends.
        least: texts that are sent in any case.
    """
    began, done = time.monotonic(), 0

    def advance(texts: int) -> None:
        nonlocal done
        done += texts
        passed = time.monotonic() - began
        if done and passed:
            reached = round(min(total, seconds * done / passed))
            progress.expect(min(total, max(least, done, reached)))
        progress.advance(texts)

    progress.start(label, total)
    try:
        yield advance
    finally:
        progress.finish()
