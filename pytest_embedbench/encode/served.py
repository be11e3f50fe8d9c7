"""Ask a served model for many batches at once, a bounded number of them under way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from itertools import islice
from typing import TYPE_CHECKING

from pytest_embedbench.errors import ModelError

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Answered, PreparedText, Role, ServedEncoder


def answers(
    model: ServedEncoder, plan: Iterable[list[int]], prepared: Sequence[PreparedText], role: Role
) -> Iterator[tuple[list[int], Answered]]:
    """Batches (indices of ``prepared``) with their answers, in the order in which they come.

    After a failure nothing more is asked for, but what is under way is waited for and given: it was paid for.

    Raises:
        ModelError: the first failure.
    """
    waiting = iter(plan)
    under_way: dict[Future[Answered], list[int]] = {}
    failure: ModelError | None = None
    try:
        while True:
            if failure is None:
                for batch in islice(waiting, model.limits.requests - len(under_way)):
                    under_way[model.submit([prepared[index] for index in batch], role)] = batch
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
