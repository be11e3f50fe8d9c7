"""Requests to a served model for many batches, with a limit on the number in flight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeVar

from pytest_embedbench.errors import ModelError

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import AnsweredBatch, PreparedText, ServedEncoder


class RequestBatch(Protocol):
    """Texts that one request holds."""

    @property
    def prepared(self) -> Sequence[PreparedText]: ...


RequestBatchT = TypeVar("RequestBatchT", bound=RequestBatch)


def answers(
    model: ServedEncoder, batches: Iterable[RequestBatchT], role: Role
) -> Iterator[tuple[RequestBatchT, AnsweredBatch]]:
    """Yield batches with their answers, in the order in which answers arrive; batches are drawn as they are needed.

    After a failure no more requests are sent, but those in flight are awaited and yielded, since they were paid for.

    Raises:
        ModelError: the first failure, once nothing is in flight.
    """
    waiting = iter(batches)
    in_flight: dict[Future[AnsweredBatch], RequestBatchT] = {}
    failure: ModelError | None = None
    try:
        while True:
            if failure is None:
                for batch in islice(waiting, model.limits.requests - len(in_flight)):
                    in_flight[model.submit(batch.prepared, role)] = batch
            if not in_flight:
                break
            for future in wait(in_flight, return_when=FIRST_COMPLETED).done:
                batch = in_flight.pop(future)
                try:
                    answer = future.result()
                except ModelError as error:
                    failure = failure or error
                else:
                    yield batch, answer
    finally:
        # Only where the caller stops early, or an unexpected error is raised, is anything left in flight.
        for future in in_flight:
            future.cancel()
    if failure:
        raise failure
