"""Clients of a model under load: threads for one in this process, an event loop for one behind HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import Thread
from typing import NamedTuple, Protocol

from pytest_embedbench.load.samples import Answered
from pytest_embedbench.load.server import Batch
from pytest_embedbench.load.statistics import ClientCost, Ended

PROGRESS_SECONDS = 0.5
"""Between two looks at what is done so far."""

LEAD_S = 0.05
"""From the start of an open loop to its time 0, so that the first requests are not late."""

MOST_IN_FLIGHT = 512
"""Requests of an open loop with a thread or a connection at once; others wait for one, as part of their latency."""

PATIENCE = 0.25
"""For this share of a load's time, answers are waited for once its time is over: an overload would never end."""


class Sent(NamedTuple):
    """What was answered, what ended the load (None: all was sent), and how many requests were given up unanswered."""

    answered: list[Answered]
    ended: Ended | None
    unanswered: int = 0


class Course(NamedTuple):
    """How long a load goes on: for so many seconds, or until its latencies (milliseconds) are ``enough``.

    ``advance`` hears of texts done.
    """

    seconds: float = float("inf")
    enough: Callable[[Sequence[float]], bool] = lambda _: False
    advance: Callable[[int], None] = lambda _: None


WHOLE = Course()
"""Until all is sent."""


class Onlooker:
    """Looks now and then at what is answered so far, in another thread than the clients'.

    They write nothing to the terminal, and judge nothing: that would cost the latency they measure.
    """

    def __init__(self, answered: Sequence[Answered], ended: list[Ended], course: Course) -> None:
        self._answered, self._ended, self._course = answered, ended, course
        self._seen = 0

    def look(self) -> None:
        """Tell of the texts answered since the last look; where what there is is enough, add that to ``ended``."""
        done = self._answered[self._seen :]
        self._seen += len(done)
        self._course.advance(sum(len(one.raw) for one in done))
        if not self._ended and self._course.enough([one.sample.latency_ms for one in self._answered[: self._seen]]):
            self._ended.append("precise")

    def watch(self, thread: Thread) -> None:
        """Look until the thread has ended."""
        while thread.is_alive():
            thread.join(PROGRESS_SECONDS)
            self.look()


class Clients(Protocol):
    """Send requests of one role to one model."""

    @property
    def batches(self) -> Sequence[Batch]:
        """What the model's server has formed so far, where it is ours."""
        ...

    @property
    def cost(self) -> ClientCost | None:
        """What the last load took of the client itself, where that can be told from the model."""
        ...

    def closed(self, requests: Sequence[list[str]], course: Course = WHOLE) -> Sent:
        """Each client sends its next request when the last one was answered, and once at least, however short the time.

        It ends when all are sent, or with its course.

        Raises:
            ModelError, or what else the model raises: the first failure ends the load.
        """
        ...

    def open(self, requests: Iterable[tuple[float, list[str]]], course: Course = WHOLE) -> Sent:
        """Send each request at its due time (seconds from now), however many are under way; latency runs from then.

        It ends as ``closed`` does, and one request is answered at least. What is under way by then is waited for until
        ``PATIENCE`` after the time.

        Raises:
            As ``closed``.
        """
        ...
