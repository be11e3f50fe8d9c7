"""Interface of the load clients, with the rules that end a load and its outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from pytest_embedbench.load.samples import AnsweredRequest
from pytest_embedbench.load.server import ServedBatch
from pytest_embedbench.load.statistics import ClientCost, Ended

LEAD_SECONDS = 0.05
"""Seconds between the start of an open loop and its time 0, so that the first requests are not sent late."""

MAX_IN_FLIGHT = 512
"""Requests of an open loop that have a thread or a connection at once; for others, the wait for one is latency."""

GRACE_SHARE = 0.25
"""Share of a load's time; how long answers are awaited after the time is up. An overload would never end otherwise."""


MAX_OVERTIME = 10
"""Factor; a load whose budgets need more samples than its time allows goes on for this many times as long, at most."""


class LoadOutcome(NamedTuple):
    """Answered requests of a load, the reason why sending ended early, and the number of requests given up.

    ``ended`` is None where all requests were sent. ``unanswered`` requests were in flight when the wait for them ended.
    """

    answered: list[AnsweredRequest]
    ended: Ended | None
    unanswered: int = 0
    cpu_share: float | None = None
    """Share of one core that the client used; None where it shares a process with the model."""


class LoadControl(NamedTuple):
    """Rules for when a load stops sending, and the callback for its progress.

    Sending stops after ``seconds``, or once ``is_enough`` returns True for the latencies so far (milliseconds). It goes
    on longer, up to ``MAX_OVERTIME`` times as long, until ``least`` requests are there. ``advance`` is called with the
    number of texts answered since its last call.
    """

    seconds: float = float("inf")
    is_enough: Callable[[Sequence[float]], bool] = lambda _: False
    advance: Callable[[int], None] = lambda _: None
    least: int = 0

    def is_over(self, seconds: float, answered: int) -> bool:
        """Whether a closed loop stops sending after these seconds, with so many requests answered.

        A load that would not reach ``least`` in overtime gets none.
        """
        if seconds < self.seconds or answered >= self.least:
            return seconds >= self.seconds
        longest = self.seconds * MAX_OVERTIME
        return seconds >= longest or answered / seconds * longest < self.least

    def seconds_after(self, requests: int) -> float:
        """Return the seconds at which an open loop stops sending, where there are so many requests."""
        return self.seconds if requests >= self.least else self.seconds * MAX_OVERTIME


SEND_ALL = LoadControl()
"""Control of a load that goes on until all requests are sent."""


class Clients(Protocol):
    """Clients that send requests of one role to one model."""

    @property
    def batches(self) -> Sequence[ServedBatch]:
        """Batches that the in-process server has formed so far; empty where the server is somebody else's."""
        ...

    @property
    def cost(self) -> ClientCost | None:
        """Cost of the client itself in the last load; None where it cannot be separated from the model's."""
        ...

    def verify(self) -> None:
        """Ask for a sample of the texts again, now that the loads are over, where vectors may have been mixed up.

        Raises:
            ModelError: a text got another vector under load, or the model failed.
        """
        ...

    def closed(self, requests: Sequence[list[str]], control: LoadControl = SEND_ALL) -> LoadOutcome:
        """Run a closed loop: each client sends its next request when its last one was answered.

        The loop ends when all requests are sent, or when ``control`` says so. Every client sends one request at least,
        however short the time.

        Raises:
            ModelError: or another error of the model; the first failure ends the load.
        """
        ...

    def open(self, requests: Iterable[tuple[float, list[str]]], control: LoadControl = SEND_ALL) -> LoadOutcome:
        """Run an open loop: send each request at its due time, however many are in flight.

        Due times are in seconds from now; latency counts from them. The loop ends as ``closed`` does, with one answer
        at least. Requests still in flight are then waited for until ``GRACE_SHARE`` of the time has passed again.

        Args:
            requests: due time and texts of each request, in the order of the times.
            control: when to stop sending.

        Raises:
            ModelError: or another error of the model; the first failure ends the load.
        """
        ...
