"""Clients in threads, for a model in this process behind a ``MicroBatcher``."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Self

from pytest_embedbench.load.clients.interface import (
    GRACE_SHARE,
    LEAD_SECONDS,
    MAX_IN_FLIGHT,
    SEND_ALL,
    LoadControl,
    LoadOutcome,
)
from pytest_embedbench.load.clients.monitor import POLL_SECONDS, LoadMonitor
from pytest_embedbench.load.received import ReceivedSample
from pytest_embedbench.load.samples import AnsweredRequest, Sample
from pytest_embedbench.load.server import MicroBatcher, ServedBatch
from pytest_embedbench.load.statistics import Ended

if TYPE_CHECKING:
    from types import TracebackType

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Encoder


class ThreadClients:
    """``Clients`` whose server runs in this process; use as a context manager.

    Args:
        model: the model under load.
        role: role of all texts.
        count: clients in a closed loop.
        batch_tokens: tokens that a batch of the server may hold.
    """

    cost = None  # the clients share a process with the model, so that their times cannot be separated

    def __init__(self, model: Encoder, role: Role, count: int, batch_tokens: int) -> None:
        self._server, self._role, self._count = MicroBatcher(model, batch_tokens), role, count
        self._sample = ReceivedSample(model, role, formed=True)

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)

    @property
    def batches(self) -> Sequence[ServedBatch]:
        return self._server.batches

    def verify(self) -> None:
        self._sample.verify()

    def closed(self, requests: Sequence[list[str]], control: LoadControl = SEND_ALL) -> LoadOutcome:
        answered: list[AnsweredRequest] = []
        errors: list[BaseException] = []
        ended: list[Ended] = []
        lock = threading.Lock()
        queue = iter(requests)
        start = time.perf_counter()

        def next_request() -> list[str] | None:
            with lock:
                # Not before there are as many answers as clients, so that each sends a request, however short the time.
                over = control.is_over(time.perf_counter() - start, len(answered))
                if over and len(answered) >= self._count and not ended:
                    ended.append("time")
                return None if ended else next(queue, None)

        def client() -> None:
            while not errors and (batch := next_request()) is not None:
                sent = time.perf_counter()
                try:
                    reply = self._server.serve(batch, self._role)
                except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                    errors.append(error)
                    return
                latency_ms = (time.perf_counter() - sent) * 1000
                self._sample.add(batch, reply.texts, reply.vectors)
                with lock:
                    sample = Sample(sent - start, latency_ms, reply.queue_ms)
                    answered.append(AnsweredRequest(sample, batch, reply.texts))

        # Daemons, so that an interrupted session does not wait for requests in flight.
        threads = [threading.Thread(target=client, daemon=True) for _ in range(self._count)]
        for thread in threads:
            thread.start()
        monitor = LoadMonitor(answered, ended, control)
        for thread in threads:
            monitor.watch(thread)
        if errors:
            raise errors[0]
        return LoadOutcome(answered, ended[0] if ended else None)

    def open(self, requests: Iterable[tuple[float, list[str]]], control: LoadControl = SEND_ALL) -> LoadOutcome:
        return _OpenLoad(self._server, self._role, control, self._sample).run(requests)


class _OpenLoad:
    """One open loop, which ``run`` runs once: a thread that sends, and a pool of threads that wait for answers."""

    def __init__(self, server: MicroBatcher, role: Role, control: LoadControl, sample: ReceivedSample) -> None:
        self._server, self._role, self._control, self._sample = server, role, control, sample
        self._answered: list[AnsweredRequest] = []
        self._ended: list[Ended] = []
        self._errors: list[BaseException] = []
        self._in_flight: list[Future[None]] = []
        self._over = threading.Event()
        self._sent_until = 0.0
        """Due time of the last request that was sent, in seconds."""
        self._pool = ThreadPoolExecutor(MAX_IN_FLIGHT, "embedbench-client")

    def run(self, requests: Iterable[tuple[float, list[str]]]) -> LoadOutcome:
        def is_enough(latencies_ms: Sequence[float]) -> bool:
            result = self._control.is_enough(latencies_ms)
            if result:
                self._over.set()  # wakes the sender, which may be waiting for the next due time
            return result

        monitor = LoadMonitor(self._answered, self._ended, self._control._replace(is_enough=is_enough))
        start = time.perf_counter() + LEAD_SECONDS
        sender = threading.Thread(target=self._send, args=(requests, start), daemon=True)
        sender.start()
        try:
            monitor.watch(sender)
            seconds = self._control.seconds
            self._wait(start + max(seconds, self._sent_until) + seconds * GRACE_SHARE, monitor)
        finally:
            # In this order: no new request, none that waits for a thread, none that waits for a batch.
            self._over.set()
            sender.join()
            for future in self._in_flight:
                future.cancel()
            self._server.drop_waiting()
            self._pool.shutdown()
        if self._errors:
            raise self._errors[0]
        ended = self._ended[0] if self._ended else None
        return LoadOutcome(self._answered, ended, len(self._in_flight) - len(self._answered))

    def _send(self, requests: Iterable[tuple[float, list[str]]], start: float) -> None:
        for sent, (due, batch) in enumerate(requests):
            # Not beyond the end of the load, when the next request is due later.
            end = self._control.seconds_after(sent)
            self._over.wait(max(0.0, start + min(due, end) - time.perf_counter()))
            if due > end and not self._ended:
                self._ended.append("time")
            if self._ended or self._over.is_set():
                return
            self._sent_until = due
            self._in_flight.append(self._pool.submit(self._serve, start, due, batch))

    def _serve(self, start: float, due: float, batch: list[str]) -> None:
        lag_ms = (time.perf_counter() - start - due) * 1000
        try:
            reply = self._server.serve(batch, self._role)
        except CancelledError:  # the load is over: nobody waits for this answer any more
            return
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._errors.append(error)
            self._over.set()
            return
        latency_ms = (time.perf_counter() - start - due) * 1000
        self._sample.add(batch, reply.texts, reply.vectors)
        self._answered.append(AnsweredRequest(Sample(due, latency_ms, reply.queue_ms, lag_ms), batch, reply.texts))

    def _wait(self, give_up: float, monitor: LoadMonitor) -> None:
        """Wait for requests in flight until ``give_up``, and for one answer at least.

        Where the load was ended early, requests beyond the first ``MAX_IN_FLIGHT`` are cancelled at once: they only
        wait for a thread.
        """
        left = [future for future in self._in_flight if not future.done()]
        if self._ended:
            for future in left[MAX_IN_FLIGHT:]:
                future.cancel()
            left = left[:MAX_IN_FLIGHT]
        while left and not self._errors and (not self._answered or time.perf_counter() < give_up):
            left = list(wait(left, POLL_SECONDS).not_done)
            monitor.poll()
