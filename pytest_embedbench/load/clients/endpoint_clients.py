"""Clients of a model behind HTTP: an event loop in a thread of its own, a connection for each request in flight."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from pytest_embedbench.load.clients.calibration import capacity_per_s, null_server
from pytest_embedbench.load.clients.http import AnswerTooLargeError, ConnectionLostError, HttpClient
from pytest_embedbench.load.clients.interface import (
    GRACE_SHARE,
    LEAD_SECONDS,
    MAX_IN_FLIGHT,
    SEND_ALL,
    LoadControl,
    LoadOutcome,
)
from pytest_embedbench.load.clients.monitor import POLL_SECONDS, LoadMonitor
from pytest_embedbench.load.samples import AnsweredRequest, Sample
from pytest_embedbench.load.server import ServedBatch
from pytest_embedbench.load.statistics import ClientCost, Ended
from pytest_embedbench.remote.answers import HttpAnswer

if TYPE_CHECKING:
    from types import TracebackType

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.load.received import ReceivedSample
    from pytest_embedbench.load.shape import LoadShape
    from pytest_embedbench.models.protocol import PreparedText
    from pytest_embedbench.models.served.wire import Wire

T = TypeVar("T")


class _PreparedRequest(NamedTuple):
    """A request's texts as given and as tokenized, and the body that is sent."""

    raw: list[str]
    texts: Sequence[PreparedText]
    body: bytes


class EndpointClients:
    """``Clients`` of an endpoint; use as a context manager.

    All requests are written before the first is sent, and an answer is read and checked after its latency is taken, so
    that neither counts as latency. Texts are tokenized where there is a tokenizer to count their tokens. A failed
    request is not sent again: under load, failures are part of what is measured.

    Args:
        wire: how the endpoint's requests are written and its answers read.
        prepare: tokenizes texts of a role.
        role: role of all texts.
        shape: texts a request, and clients in a closed loop.
        sample: takes note of vectors, to verify some of them.
    """

    batches: Sequence[ServedBatch] = ()

    def __init__(
        self,
        wire: Wire,
        prepare: Callable[[Sequence[str], Role], list[PreparedText]],
        role: Role,
        shape: LoadShape,
        sample: ReceivedSample,
    ) -> None:
        self._wire, self._prepare, self._role, self._shape = wire, prepare, role, shape
        self._sample = sample
        self._client = HttpClient(wire.url, wire.headers, wire.query)
        self._cpu_share: float | None = None
        self._first_request: _PreparedRequest | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="embedbench-load", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def verify(self) -> None:
        self._sample.verify()

    def closed(self, requests: Sequence[list[str]], control: LoadControl = SEND_ALL) -> LoadOutcome:
        written = [self._prepared(raw) for raw in requests]
        self._first_request, queue = written[0], iter(written)
        answered: list[AnsweredRequest] = []
        ended: list[Ended] = []  # a list of one reason at most, shared by the clients and the monitor's thread

        async def client(start: float) -> None:
            while True:
                # Not before there are as many answers as clients, so that each sends a request, however short the time.
                over = control.is_over(time.perf_counter() - start, len(answered))
                if over and len(answered) >= self._shape.concurrency and not ended:
                    ended.append("time")
                request = None if ended else next(queue, None)
                if request is None:
                    return
                answered.append(await self._send(request, start, time.perf_counter() - start))

        async def clients() -> None:
            start = time.perf_counter()
            with self._accounted():
                async with asyncio.TaskGroup() as group:
                    for _ in range(self._shape.concurrency):
                        group.create_task(client(start))

        self._run_monitored(clients(), LoadMonitor(answered, ended, control))
        return LoadOutcome(answered, ended[0] if ended else None, cpu_share=self._cpu_share)

    @cached_property
    def cost(self) -> ClientCost | None:
        """Share of a core and capacity of the client, measured once, after the load.

        The capacity is measured with the load's first request, against a null server whose answers have the same size.
        """
        request = self._first_request
        if request is None or self._cpu_share is None:
            return None

        def read(answer: HttpAnswer) -> None:
            self._wire.read(answer, request.texts)

        with null_server(len(request.texts), self._wire.dimensions) as url:
            capacity = self._run(capacity_per_s(url, request.body, read, self._shape.concurrency))
        return ClientCost(cpu_share=self._cpu_share, capacity_per_s=capacity)

    def open(self, requests: Iterable[tuple[float, list[str]]], control: LoadControl = SEND_ALL) -> LoadOutcome:
        timed = [(due, self._prepared(raw)) for due, raw in requests]
        answered: list[AnsweredRequest] = []
        ended: list[Ended] = []
        in_flight: list[asyncio.Task[None]] = []
        connections = asyncio.Semaphore(MAX_IN_FLIGHT)

        async def send(start: float, due: float, request: _PreparedRequest) -> None:
            async with connections:
                # Waiting for a connection counts as lag, and so as latency.
                lag_ms = (time.perf_counter() - start - due) * 1000
                result = await self._send(request, start, due)
            answered.append(result._replace(sample=result.sample._replace(lag_ms=lag_ms)))

        async def send_all(start: float, group: asyncio.TaskGroup) -> float:
            """Send the requests; return the due time of the last one, in seconds."""
            last = 0.0
            for sent, (due, request) in enumerate(timed):
                # Sleeps even when late, for 0 s, so that the event loop can take answers between two requests; but not
                # beyond the end of the load, when the next request is due later.
                end = control.seconds_after(sent)
                await asyncio.sleep(max(0.0, start + min(due, end) - time.perf_counter()))
                if due > end and not ended:
                    ended.append("time")
                if ended:
                    break
                in_flight.append(group.create_task(send(start, due, request)))
                last = due
            return last

        async def clients() -> None:
            start = time.perf_counter() + LEAD_SECONDS
            with self._accounted():
                async with asyncio.TaskGroup() as group:
                    last = await send_all(start, group)
                    end = max(control.seconds, last) + control.seconds * GRACE_SHARE
                    left = max(0.0, start + end - time.perf_counter())
                    await asyncio.wait(in_flight, timeout=left)
                    if not answered:  # one answer at least, however short the time
                        await asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED)
                    # The task group would wait for them.
                    for task in in_flight:
                        task.cancel()

        self._run_monitored(clients(), LoadMonitor(answered, ended, control))
        return LoadOutcome(answered, ended[0] if ended else None, len(in_flight) - len(answered), self._cpu_share)

    @contextmanager
    def _accounted(self) -> Iterator[None]:
        """Measure the share of a core that the event loop's thread uses while the block runs."""
        start, used = time.perf_counter(), time.thread_time()
        yield
        self._cpu_share = (time.thread_time() - used) / (time.perf_counter() - start)

    def _run_monitored(self, clients: Coroutine[Any, Any, None], monitor: LoadMonitor) -> None:
        self._run(clients, monitor.poll)
        monitor.poll()

    def _prepared(self, raw: list[str]) -> _PreparedRequest:
        texts = self._prepare(raw, self._role)
        return _PreparedRequest(raw, texts, self._wire.body(texts, self._role))

    async def _send(self, request: _PreparedRequest, start: float, since: float) -> AnsweredRequest:
        """Send a request and wait for its answer; latency counts from ``since``, in seconds after ``start``."""
        try:
            async with asyncio.timeout(self._wire.timeout):
                answer = await self._client.post(request.body)
        except TimeoutError:
            raise self._wire.timed_out(request.texts) from None
        except AnswerTooLargeError as error:
            raise self._wire.failure(str(error), error.fix) from None
        except (OSError, ConnectionLostError) as error:
            raise self._wire.failure(str(error)) from None
        latency_ms = (time.perf_counter() - start - since) * 1000
        result = self._wire.read(answer, request.texts)
        self._sample.add(request.raw, request.texts, result.vectors)
        return AnsweredRequest(Sample(since, latency_ms), request.raw, result.texts, result.server_ms)

    def _run(self, work: Coroutine[Any, Any, T], poll: Callable[[], None] = lambda: None) -> T:
        """Run a coroutine in the event loop's thread, and call ``poll`` from this thread meanwhile.

        Where several requests fail, the first error is raised in place of the ``ExceptionGroup``.
        """
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        while not wait([future], POLL_SECONDS).done:
            poll()
        try:
            return future.result()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _close(self) -> None:
        self._client.close()
        await asyncio.sleep(0)  # transports close in the next round of the event loop
