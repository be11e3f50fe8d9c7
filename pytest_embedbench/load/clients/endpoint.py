"""Clients of a model behind HTTP: an event loop in a thread of its own, a connection for each request under way."""

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
from pytest_embedbench.load.clients.http import ConnectionLostError, HttpClient
from pytest_embedbench.load.samples import Answered, Sample
from pytest_embedbench.load.server import Batch
from pytest_embedbench.load.statistics import ClientCost, Ended
from pytest_embedbench.remote.answers import HttpAnswer

if TYPE_CHECKING:
    from types import TracebackType

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.load.shape import LoadShape
    from pytest_embedbench.models.protocol import PreparedText
    from pytest_embedbench.models.served.wire import Wire

T = TypeVar("T")


class _Job(NamedTuple):
    raw: list[str]
    texts: Sequence[PreparedText]
    body: bytes


class EndpointClients:
    """``Clients`` of an endpoint; use as a context manager.

    Texts are tokenized, where there is a tokenizer to count them, and requests written before any is sent; an answer is
    read and checked after its latency is taken. A failure is not tried again: under load it is what is to be known.
    """

    batches: Sequence[Batch] = ()

    def __init__(
        self, wire: Wire, prepare: Callable[[Sequence[str], Role], list[PreparedText]], role: Role, shape: LoadShape
    ) -> None:
        self._wire, self._prepare, self._role, self._shape = wire, prepare, role, shape
        self._client = HttpClient(wire.url, wire.headers)
        self._share: float | None = None
        self._first: _Job | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="embedbench-load", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def closed(self, requests: Sequence[list[str]], course: Course = WHOLE) -> Sent:
        written = [self._job(raw) for raw in requests]
        self._first, jobs = written[0], iter(written)
        answered: list[Answered] = []
        ended: list[Ended] = []

        async def client(start: float) -> None:
            while True:
                late = time.perf_counter() - start >= course.seconds and len(answered) >= self._shape.concurrency
                if late and not ended:
                    ended.append("time")
                job = None if ended else next(jobs, None)
                if job is None:
                    return
                answered.append(await self._ask(job, start, time.perf_counter() - start))

        async def clients() -> None:
            start = time.perf_counter()
            with self._accounted():
                async with asyncio.TaskGroup() as group:
                    for _ in range(self._shape.concurrency):
                        group.create_task(client(start))

        self._watch(clients(), Onlooker(answered, ended, course))
        return Sent(answered, ended[0] if ended else None)

    @cached_property
    def cost(self) -> ClientCost | None:
        """Measured once, after the load, with its first request and answers of the same size."""
        job = self._first
        if job is None or self._share is None:
            return None

        def read(answer: HttpAnswer) -> None:
            self._wire.read(answer, job.texts)

        with null_server(len(job.texts), self._wire.dimensions) as url:
            capacity = self._do(capacity_per_s(url, job.body, read, self._shape.concurrency))
        return ClientCost(cpu_share=self._share, capacity_per_s=capacity)

    def open(self, requests: Iterable[tuple[float, list[str]]], course: Course = WHOLE) -> Sent:
        jobs = [(due, self._job(raw)) for due, raw in requests]
        answered: list[Answered] = []
        ended: list[Ended] = []
        under_way: list[asyncio.Task[None]] = []
        connections = asyncio.Semaphore(MOST_IN_FLIGHT)

        async def one(start: float, due: float, job: _Job) -> None:
            async with connections:
                lag_ms = (time.perf_counter() - start - due) * 1000
                done = await self._ask(job, start, due)
            answered.append(done._replace(sample=done.sample._replace(lag_ms=lag_ms)))

        async def send(start: float, group: asyncio.TaskGroup) -> None:
            for due, job in jobs:
                # Not even those that are late go without letting answers in.
                await asyncio.sleep(max(0.0, start + min(due, course.seconds) - time.perf_counter()))
                if due > course.seconds and not ended:
                    ended.append("time")
                if ended:
                    return
                under_way.append(group.create_task(one(start, due, job)))

        async def clients() -> None:
            start = time.perf_counter() + LEAD_S
            with self._accounted():
                async with asyncio.TaskGroup() as group:
                    await send(start, group)
                    left = max(0.0, start + course.seconds * (1 + PATIENCE) - time.perf_counter())
                    await asyncio.wait(under_way, timeout=left)
                    if not answered:  # one at least, however short the time
                        await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                    for late in under_way:
                        late.cancel()

        self._watch(clients(), Onlooker(answered, ended, course))
        return Sent(answered, ended[0] if ended else None, len(under_way) - len(answered))

    @contextmanager
    def _accounted(self) -> Iterator[None]:
        """Keep which share of a core the loop's thread takes meanwhile."""
        start, used = time.perf_counter(), time.thread_time()
        yield
        self._share = (time.thread_time() - used) / (time.perf_counter() - start)

    def _watch(self, clients: Coroutine[Any, Any, None], onlooker: Onlooker) -> None:
        self._do(clients, onlooker.look)
        onlooker.look()

    def _job(self, raw: list[str]) -> _Job:
        texts = self._prepare(raw, self._role)
        return _Job(raw, texts, self._wire.body(texts, self._role))

    async def _ask(self, job: _Job, start: float, since: float) -> Answered:
        """Latency counts from ``since``, in seconds from the start."""
        try:
            async with asyncio.timeout(self._wire.timeout):
                answer = await self._client.post(job.body)
        except TimeoutError:
            raise self._wire.failure(f"no answer within {self._wire.timeout:g} s") from None
        except (OSError, ConnectionLostError) as error:
            raise self._wire.failure(str(error)) from None
        took = (time.perf_counter() - start - since) * 1000
        found = self._wire.read(answer, job.texts)
        return Answered(Sample(since, took), job.raw, found.texts, found.server_ms)

    def _do(self, work: Coroutine[Any, Any, T], look: Callable[[], None] = lambda: None) -> T:
        """Run in the loop's thread, looking from this one; the first of the errors is raised alone."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        while not wait([future], PROGRESS_SECONDS).done:
            look()
        try:
            return future.result()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    async def _end(self) -> None:
        self._client.close()
        await asyncio.sleep(0)  # transports close in the next round
