"""Clients in threads, for a model in this process behind a ``MicroBatcher``."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Self

from pytest_embedbench.load.clients.course import (
    LEAD_S,
    MOST_IN_FLIGHT,
    PATIENCE,
    PROGRESS_SECONDS,
    WHOLE,
    Course,
    Onlooker,
    Sent,
)
from pytest_embedbench.load.samples import Answered, Sample
from pytest_embedbench.load.server import Batch, MicroBatcher
from pytest_embedbench.load.statistics import Ended

if TYPE_CHECKING:
    from types import TracebackType

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Encoder


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


class OpenThreads:
    """One load, for ``Clients.open`` to ``run`` once."""

    def __init__(self, server: MicroBatcher, role: Role, course: Course) -> None:
        self._server, self._role, self._course = server, role, course
        self._answered: list[Answered] = []
        self._ended: list[Ended] = []
        self._errors: list[BaseException] = []
        self._under_way: list[Future[None]] = []
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(MOST_IN_FLIGHT, "embedbench-client")

    def run(self, requests: Iterable[tuple[float, list[str]]]) -> Sent:
        def last(latencies_ms: Sequence[float]) -> bool:
            found = self._course.enough(latencies_ms)
            if found:
                self._over.set()
            return found

        onlooker = Onlooker(self._answered, self._ended, self._course._replace(enough=last))
        start = time.perf_counter() + LEAD_S
        sender = threading.Thread(target=self._send, args=(requests, start), daemon=True)
        sender.start()
        try:
            onlooker.watch(sender)
            self._wait(start + self._course.seconds * (1 + PATIENCE), onlooker)
        finally:
            self._over.set()
            sender.join()
            for future in self._under_way:
                future.cancel()
            self._server.drop_waiting()
            self._pool.shutdown()
        if self._errors:
            raise self._errors[0]
        ended = self._ended[0] if self._ended else None
        return Sent(self._answered, ended, len(self._under_way) - len(self._answered))

    def _send(self, requests: Iterable[tuple[float, list[str]]], start: float) -> None:
        for due, batch in requests:
            self._over.wait(max(0.0, start + min(due, self._course.seconds) - time.perf_counter()))
            if due > self._course.seconds and not self._ended:
                self._ended.append("time")
            if self._ended or self._over.is_set():
                return
            self._under_way.append(self._pool.submit(self._one, start, due, batch))

    def _one(self, start: float, due: float, batch: list[str]) -> None:
        lag_ms = (time.perf_counter() - start - due) * 1000
        try:
            served = self._server.serve(batch, self._role)
        except CancelledError:  # nobody waits for it any more
            return
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._errors.append(error)
            self._over.set()
            return
        took = (time.perf_counter() - start - due) * 1000
        self._answered.append(Answered(Sample(due, took, served.queue_ms, lag_ms), batch, served.texts))

    def _wait(self, give_up: float, onlooker: Onlooker) -> None:
        """Wait for what is under way, and for one answer at least; where the load was ended, not for the rest."""
        left = [future for future in self._under_way if not future.done()]
        if self._ended:
            for future in left[MOST_IN_FLIGHT:]:
                future.cancel()
            left = left[:MOST_IN_FLIGHT]
        while left and not self._errors and (not self._answered or time.perf_counter() < give_up):
            left = list(wait(left, PROGRESS_SECONDS).not_done)
            onlooker.look()
