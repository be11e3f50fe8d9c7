"""Watch a load from outside its clients: report progress, and decide whether its samples suffice."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Thread

from pytest_embedbench.load.clients.interface import LoadControl
from pytest_embedbench.load.samples import AnsweredRequest
from pytest_embedbench.load.statistics import Ended

POLL_SECONDS = 0.5
"""Seconds between two checks of the requests answered so far."""


class LoadMonitor:
    """Watches the answered requests of a load from another thread than the clients'.

    The clients write nothing to the terminal and judge nothing: that would cost the latency that they measure.

    Args:
        answered: requests answered so far; the clients append to it.
        ended: reason why the load ended; the monitor or a client adds one.
        control: when the load is to end, and the callback for its progress.
    """

    def __init__(self, answered: Sequence[AnsweredRequest], ended: list[Ended], control: LoadControl) -> None:
        self._answered, self._ended, self._control = answered, ended, control
        self._seen = 0

    def poll(self) -> None:
        """Report the texts answered since the last call, and end the load if its samples suffice."""
        # No lock: appending to a list is atomic, so a slice never holds half an answer.
        new = self._answered[self._seen :]
        self._seen += len(new)
        self._control.advance(sum(len(request.raw) for request in new))
        if not self._ended and self._control.is_enough([r.sample.latency_ms for r in self._answered[: self._seen]]):
            self._ended.append("precise")

    def watch(self, thread: Thread) -> None:
        """Poll until the thread has ended."""
        while thread.is_alive():
            thread.join(POLL_SECONDS)
            self.poll()
