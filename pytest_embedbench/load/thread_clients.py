"""Clients in threads, for a model in this process behind a ``MicroBatcher``."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from pytest_embedbench.load.clients import Sent
from pytest_embedbench.load.samples import Answered, Sample
from pytest_embedbench.load.server import Batch, MicroBatcher
from pytest_embedbench.load.statistics import Ended

if TYPE_CHECKING:
    from types import TracebackType

    from pytest_embedbench.models.protocol import Encoder, Role

PROGRESS_SECONDS = 0.5
"""Between two looks at what is done so far."""

MOST_IN_FLIGHT = 512
"""Requests of an open loop that have a thread at once; others wait for one, and that is part of their latency."""

LEAD_S = 0.05
"""From the start of an open loop to its time 0, so that the first requests are not late."""


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

    def closed(
        self,
        requests: Sequence[list[str]],
        seconds: float = float("inf"),
        enough: Callable[[Sequence[float]], bool] = lambda _: False,
        advance: Callable[[int], None] = lambda _: None,
    ) -> tuple[list[Answered], Ended | None]:
        answered: list[Answered] = []
        errors: list[BaseException] = []
        ended: list[Ended] = []
        lock = threading.Lock()
        queue = iter(requests)
        start = time.perf_counter()

        def take() -> list[str] | None:
            with lock:
                if time.perf_counter() - start >= seconds and len(answered) >= self._count and not ended:
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
        # The clients write nothing to the terminal, and judge nothing: that would cost the latency they measure.
        for count in _while_alive(threads, answered):
            advance(count)
            if not ended and enough([one.sample.latency_ms for one in list(answered)]):
                ended.append("precise")
        if errors:
            raise errors[0]
        return answered, ended[0] if ended else None

    def open(self, requests: Iterable[tuple[float, list[str]]], give_up: Callable[[float], bool]) -> Sent:
        answered: list[Answered] = []
        lags_ms: list[float] = []
        errors: list[BaseException] = []
        lock, over = threading.Lock(), threading.Event()
        start = time.perf_counter() + LEAD_S

        def one(due: float, batch: list[str]) -> None:
            lag_ms = (time.perf_counter() - start - due) * 1000
            try:
                served = self._server.serve(batch, self._role)
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                errors.append(error)
                over.set()
                return
            took = (time.perf_counter() - start - due) * 1000
            with lock:
                answered.append(Answered(Sample(due, took, served.queue_ms), batch, served.texts))
                lags_ms.append(lag_ms)
                if give_up(took):
                    over.set()

        pool = ThreadPoolExecutor(MOST_IN_FLIGHT, "embedbench-client")
        try:
            for due, batch in requests:
                if over.wait(max(0.0, start + due - time.perf_counter())):
                    break
                pool.submit(one, due, batch)
        finally:
            pool.shutdown(cancel_futures=over.is_set())
        if errors:
            raise errors[0]
        return Sent(answered, lags_ms, over.is_set())


def _while_alive(threads: Sequence[threading.Thread], answered: Sequence[Answered]) -> Iterator[int]:
    """Texts answered since the last look, look by look, until the threads have ended."""
    shown = 0
    for thread in threads:
        while thread.is_alive():
            thread.join(PROGRESS_SECONDS)
            done = len(answered)
            yield sum(len(one.raw) for one in answered[shown:done])
            shown = done
