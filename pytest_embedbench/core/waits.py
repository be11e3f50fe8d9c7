"""Tell the user what work waits for. The session, or a command, says where that is shown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SHORTEST_SHOWN_SECONDS = 1.0
"""Seconds; shorter waits are not worth a line."""

UPDATE_SECONDS = 1.0
"""Seconds between two updates of a line."""

Listener = Callable[[str], None]
"""Takes the line to show, ``waiting for http://localhost:8080: HTTP 503, 12 s of 300 s``; "" when the wait is over."""


class Announcer:
    """Passes the lines of all waits in this process to one listener, at most one a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listener: Listener | None = None
        self._shown = False
        self._shown_at = 0.0

    @contextmanager
    def heard_by(self, listener: Listener) -> Iterator[None]:
        """Pass lines to this listener while the block runs."""
        before, self._listener = self._listener, listener
        try:
            yield
        finally:
            self.over()
            self._listener = before

    def waiting(self, line: str) -> None:
        """Show the line, unless another one was shown within the last second."""
        with self._lock:
            now = time.monotonic()
            if self._listener and now - self._shown_at >= UPDATE_SECONDS:
                self._shown, self._shown_at = True, now
                self._listener(line)

    def over(self) -> None:
        """Take the line away, if one is shown."""
        with self._lock:
            if self._shown and self._listener:
                self._listener("")
            self._shown, self._shown_at = False, 0.0


ANNOUNCER = Announcer()
"""The one of this process: what waits runs in threads, and in rooms that know nothing of the session."""


@contextmanager
def waiting_for(what: str) -> Iterator[Callable[[], None]]:
    """Yield a function to call while waiting: it shows ``waiting for WHAT, 12 s``, until the block ends."""
    began = time.monotonic()

    def still() -> None:
        seconds = time.monotonic() - began
        if seconds >= SHORTEST_SHOWN_SECONDS:
            ANNOUNCER.waiting(f"waiting for {what}, {seconds:.0f} s")

    try:
        yield still
    finally:
        ANNOUNCER.over()
