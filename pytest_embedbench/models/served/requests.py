"""Ask a served model for many batches at once, a bounded number of them under way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeVar

from pytest_embedbench.errors import ModelError

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Answered, PreparedText, ServedEncoder


class Batch(Protocol):
    """Some texts that are asked for together."""

    @property
    def prepared(self) -> Sequence[PreparedText]: ...


B = TypeVar("B", bound=Batch)


def answers(model: ServedEncoder, batches: Iterable[B], role: Role) -> Iterator[tuple[B, Answered]]:
    """Batches with their answers, in the order in which they come; batches are drawn as they are needed.

    After a failure nothing more is asked for, but what is under way is waited for and given: it was paid for.

    Raises:
        ModelError: the first failure.
    """
    waiting = iter(batches)
    under_way: dict[Future[Answered], B] = {}
    failure: ModelError | None = None
    try:
        while True:
            if failure is None:
                for batch in islice(waiting, model.limits.requests - len(under_way)):
                    under_way[model.submit(batch.prepared, role)] = batch
            if not under_way:
                break
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                batch = under_way.pop(future)
                try:
                    answer = future.result()
                except ModelError as error:
                    failure = failure or error
                else:
                    yield batch, answer
    finally:
        for future in under_way:
            future.cancel()
    if failure:
        raise failure
