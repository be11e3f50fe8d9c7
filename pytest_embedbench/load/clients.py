"""Clients of a model under load: threads for one in this process, an event loop for one behind HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple, Protocol

from pytest_embedbench.load.samples import Answered
from pytest_embedbench.load.server import Batch
from pytest_embedbench.load.statistics import ClientCost, Ended
from pytest_embedbench.models.wire import Wired

if TYPE_CHECKING:
    from pytest_embedbench.load.shape import LoadShape
    from pytest_embedbench.models.protocol import Encoder, Role


class Sent(NamedTuple):
    """What an open loop had answered, how late each of these was sent (ms), and whether sending ended early."""

    answered: list[Answered]
    lags_ms: list[float]
    gave_up: bool


class Clients(Protocol):
    """Send requests of one role to one model."""

    @property
    def batches(self) -> Sequence[Batch]:
        """What the model's server has formed so far, where it is ours."""
        ...

    @property
    def cost(self) -> ClientCost | None:
        """What the last ``closed`` took of the client itself, where that can be told from the model."""
        ...

    def closed(
        self,
        requests: Sequence[list[str]],
        seconds: float = float("inf"),
        enough: Callable[[Sequence[float]], bool] = lambda _: False,
        advance: Callable[[int], None] = lambda _: None,
    ) -> tuple[list[Answered], Ended | None]:
        """Each client sends its next request when the last one was answered, and once at least, however short the time.

        It ends when all are sent, the time is up, or the latencies (milliseconds) are ``enough``; what ended it is None
        where all were sent. ``advance`` hears of texts done.

        Raises:
            ModelError, or what else the model raises: the first failure ends the load.
        """
        ...

    def open(self, requests: Iterable[tuple[float, list[str]]], give_up: Callable[[float], bool]) -> Sent:
        """Send each request at its due time (seconds from now), however many are under way.

        ``give_up`` is told every latency, in milliseconds from the due time, and ends the sending.

        Raises:
            As ``closed``.
        """
        ...


def clients_of(model: Encoder, role: Role, shape: LoadShape, batch_tokens: int) -> AbstractContextManager[Clients]:
    """The clients that fit the model; ``shape.concurrency`` of them in a closed loop."""
    wire = model.wire() if isinstance(model, Wired) else None
    if wire is not None and shape.batch <= wire.most_texts:
        from pytest_embedbench.load.endpoint_clients import EndpointClients

        return EndpointClients(wire, model.prepare, role, shape)
    from pytest_embedbench.load.thread_clients import ThreadClients

    return ThreadClients(model, role, shape.concurrency, batch_tokens)
