"""Choose the clients for a model: an event loop over HTTP for a served model, threads for a local one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from pytest_embedbench.load.clients.interface import Clients
from pytest_embedbench.load.received import ReceivedSample
from pytest_embedbench.models.served.wire import Wired

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.load.clients.thread_clients import ThreadClients
    from pytest_embedbench.load.shape import LoadShape
    from pytest_embedbench.models.protocol import Encoder
    from pytest_embedbench.models.served.wire import Wire


def clients_for(model: Encoder, role: Role, shape: LoadShape, batch_tokens: int) -> AbstractContextManager[Clients]:
    """Return the clients that fit the model, ``shape.concurrency`` of them in a closed loop.

    A served model whose server takes fewer texts a request than ``shape.batch`` gets threads: the model itself then
    spreads a request's texts over several calls. None of these is made smaller when the server refuses it.
    """
    wire = model.wire() if isinstance(model, Wired) else None
    if wire is not None and shape.batch <= wire.max_texts:
        # Imported late: the HTTP client needs the libraries of an extra.
        from pytest_embedbench.load.clients.endpoint_clients import EndpointClients

        return EndpointClients(wire, model.prepare, role, shape, ReceivedSample(model, role, formed=False))
    from pytest_embedbench.load.clients.thread_clients import ThreadClients

    clients = ThreadClients(model, role, shape.concurrency, batch_tokens)
    return clients if wire is None else _whole_requests(wire, clients)


@contextmanager
def _whole_requests(wire: Wire, clients: ThreadClients) -> Iterator[Clients]:
    with wire.whole_requests(), clients:
        yield clients
