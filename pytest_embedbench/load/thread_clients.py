"""Clients in threads, for a model in this process behind a ``MicroBatcher``."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Self

from pytest_embedbench.load.clients import WHOLE, Course, Onlooker, Sent
from pytest_embedbench.load.open_threads import OpenThreads
from pytest_embedbench.load.samples import Answered, Sample
from pytest_embedbench.load.server import Batch, MicroBatcher
from pytest_embedbench.load.statistics import Ended

if TYPE_CHECKING:
    from types import TracebackType

    from pytest_embedbench.models.protocol import Encoder, Role


class ThreadClients:
    """``Clients`` whose server is ours; use as a context manager."""

    cost = None

    def __init__(self, model: Encoder, role: Role, count: int, batch_tokens: int) -> None:
        self._server, self._role, self._count = MicroBatcher(model, batch_tokens), role, count

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    @property
    def batches(self) -> Sequence[Batch]:
        return self._server.batches

    def closed(self, requests: Sequence[list[str]], course: Course = WHOLE) -> Sent:
        answered: list[Answered] = []
        errors: list[BaseException] = []
        ended: list[Ended] = []
        lock = threading.Lock()
        queue = iter(requests)
        start = time.perf_counter()

        def take() -> list[str] | None:
            with lock:
                if time.perf_counter() - start >= course.seconds and len(answered) >= self._count and not ended:
                    ended.append("time")
                return None if ended else next(queue, None)

        def client() -> None:
            while not errors and (batch := take()) is not None:
                sent = time.perf_counter()
                try:
                    served = self._server.serve(batch, self._role)
                except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                    errors.append(error)
                    return
                took = (time.perf_counter() - sent) * 1000
                with lock:
                    answered.append(Answered(Sample(sent - start, took, served.queue_ms), batch, served.texts))

        threads = [threading.Thread(target=client, daemon=True) for _ in range(self._count)]
        for thread in threads:
            thread.start()
        onlooker = Onlooker(answered, ended, course)
        for thread in threads:
            onlooker.watch(thread)
        if errors:
            raise errors[0]
        return Sent(answered, ended[0] if ended else None)

    def open(self, requests: Iterable[tuple[float, list[str]]], course: Course = WHOLE) -> Sent:
        return OpenThreads(self._server, self._role, course).run(requests)
