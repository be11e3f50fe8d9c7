"""Batches side by side: several at once on a CPU, each on its share of the cores.

One batch on all cores waits for the slowest of them after every layer; several batches wait for nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from pytest_embedbench.models.protocol import ParallelEncoder

if TYPE_CHECKING:
    from concurrent.futures import Future

    from pytest_embedbench.models.protocol import Encoder, PreparedText, Role, Vectors

AHEAD = 2
"""Batches handed out for each worker, so that none waits while vectors are stored."""


def forwarded(
    model: Encoder, plan: Sequence[list[int]], prepared: Sequence[PreparedText], role: Role
) -> Generator[tuple[list[int], Vectors]]:
    """Each batch of the plan with its vectors, in the plan's order.

    Args:
        model: a ``ParallelEncoder`` runs several batches at once where there are enough of them; others one by one.
        plan: places in ``prepared``, batch by batch.
        prepared: tokenized texts.
        role: what the texts are.
    """

    def forward(batch: list[int]) -> Vectors:
        return model.forward([prepared[index] for index in batch], role)

    if not isinstance(model, ParallelEncoder) or not 1 < model.workers <= len(plan):
        for batch in plan:
            yield batch, forward(batch)
        return
    with model.side_by_side() as pool:
        waiting: deque[tuple[list[int], Future[Vectors]]] = deque()
        try:
            for batch in plan:
                waiting.append((batch, pool.submit(forward, batch)))
                if len(waiting) > AHEAD * model.workers:
                    first, done = waiting.popleft()
                    yield first, done.result()
            while waiting:
                first, done = waiting.popleft()
                yield first, done.result()
        finally:
            pool.shutdown(cancel_futures=True)
