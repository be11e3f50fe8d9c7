"""Choose the clients for a model: asyncio over HTTP for a served one, threads for a local one."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from pytest_embedbench.load.clients.course import Clients
from pytest_embedbench.models.served.wire import Wired

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.load.shape import LoadShape
    from pytest_embedbench.models.protocol import Encoder


def clients_of(model: Encoder, role: Role, shape: LoadShape, batch_tokens: int) -> AbstractContextManager[Clients]:
    """The clients that fit the model; ``shape.concurrency`` of them where they send in a closed loop."""
    wire = model.wire() if isinstance(model, Wired) else None
    if wire is not None and shape.batch <= wire.most_texts:
        from pytest_embedbench.load.clients.endpoint import EndpointClients

        return EndpointClients(wire, model.prepare, role, shape)
    from pytest_embedbench.load.clients.threads import ThreadClients

    return ThreadClients(model, role, shape.concurrency, batch_tokens)
