"""Serve a model in this process as a good server would: waiting requests go to the device as soon as it is free.

There is no timer: while a worker is free, a request starts at once; while all are busy, requests gather into the next
batch.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple, Self

from pytest_embedbench.datasets.types import Role
from pytest_embedbench.machine.threads import one_thread, with_all_cores
from pytest_embedbench.models.protocol import SERVED_DEVICE, ParallelEncoder, PreparedText, check_vectors

if TYPE_CHECKING:
    from types import TracebackType

    from pytest_embedbench.models.protocol import Encoder, Vectors


class ServedBatch(NamedTuple):
    """A batch that the server formed: its texts, their tokens, and its tokens with padding."""

    texts: int
    tokens: int
    padded_tokens: int


class ServedRequest(NamedTuple):
    """A request's vectors, shape (texts, dimensions), its tokenized texts, and how long it waited for its batch.

    ``queue_ms`` is None for a served model, whose server forms the batches.
    """

    vectors: Vectors
    texts: Sequence[PreparedText]
    queue_ms: float | None


class _Request(NamedTuple):
    raw: Sequence[str]
    texts: list[PreparedText]
    role: Role
    arrived: float
    answer: Future[tuple[Vectors, float]]

    @property
    def longest(self) -> int:
        return max((text.length for text in self.texts), default=0)


class MicroBatcher:
    """Server that gathers requests into batches; call ``serve`` from many threads.

    Use it as a context manager, which starts the workers and waits for their end.

    A batch holds the oldest request and others of its role, up to the token budget: the next oldest or, for a model
    that pads, those nearest in length to the oldest. The oldest request is always in the next batch, so that no request
    is left waiting while later ones are served.

    A model that takes several batches at once (``ParallelEncoder``) gets them, each on its share of the cores. A batch
    then takes no more texts than its share of all waiting and running texts, so that no worker is left without work. A
    batch with no other beside or behind it has all cores.

    ``batches`` records all batches so far.

    Args:
        model: the model to serve.
        batch_tokens: tokens that a batch may hold, with padding.
    """

    def __init__(self, model: Encoder, batch_tokens: int) -> None:
        self.batches: list[ServedBatch] = []
        self._model, self._budget = model, batch_tokens
        self._workers = model.workers if isinstance(model, ParallelEncoder) else 1
        self._waiting: list[_Request] = []
        self._running = self._running_texts = 0
        self._changed = threading.Condition()
        self._closed = False
        # Two executors: one runs a batch alone on all cores, the other runs batches side by side on a share each.
        self._threads = ExitStack()
        self._alone: Executor
        self._beside: Executor

    def __enter__(self) -> Self:
        if isinstance(self._model, ParallelEncoder) and self._workers > 1:
            self._alone = self._threads.enter_context(with_all_cores())
            self._beside = self._threads.enter_context(self._model.side_by_side())
        else:
            self._alone = self._beside = self._threads.enter_context(one_thread())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._running)
        self._threads.close()

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        """Return the vectors of the texts, as ``serve`` does."""
        return self.serve(texts, role).vectors

    def serve(self, texts: Sequence[str], role: Role) -> ServedRequest:
        """Return the vectors of the texts; blocks until they are computed.

        Tokenization runs in the caller's thread, so that it does not hold up the workers. A served model gets each
        request as it is, since its server gathers requests itself.

        Raises:
            ModelError: or another error of the model, also if another request of the same batch caused it.
            CancelledError: ``drop_waiting`` was called before the request was in a batch.
            RuntimeError: the server is closed.
        """
        prepared = self._model.prepare(texts, role)
        request = _Request(texts, prepared, role, time.perf_counter(), Future())
        if self._model.facts.device == SERVED_DEVICE:
            return ServedRequest(self._forward([request]), prepared, None)
        with self._changed:
            if self._closed:
                raise RuntimeError("the server is closed")
            self._waiting.append(request)
            self._hand_out()
        vectors, queue_ms = request.answer.result()
        return ServedRequest(vectors, prepared, queue_ms)

    def drop_waiting(self) -> None:
        """Cancel the requests that wait for a batch; their ``serve`` raises ``concurrent.futures.CancelledError``."""
        with self._changed:
            for request in self._waiting:
                request.answer.cancel()
            self._waiting.clear()

    def _hand_out(self) -> None:
        """Give waiting requests to free workers; the caller holds the lock."""
        while self._waiting and self._running < self._workers:
            batch = self._take()
            alone = not self._running and not self._waiting
            self._running += 1
            self._running_texts += sum(len(request.texts) for request in batch)
            (self._alone if alone else self._beside).submit(self._work, batch, time.perf_counter())

    def _take(self) -> list[_Request]:
        """Take the oldest request and others of its role that fit into its batch, in the order in which they came."""
        first, *others = self._waiting
        pads = self._model.facts.pads
        if pads:
            # The sort is stable: of two requests of equal length the older comes first.
            others.sort(key=lambda request: abs(request.longest - first.longest))
        texts = self._running_texts + sum(len(request.texts) for request in self._waiting)
        share = math.ceil(texts / self._workers)
        longest, count, tokens = first.longest, len(first.texts), sum(text.length for text in first.texts)
        chosen = {id(first)}
        for request in others:
            wide = max(longest, request.longest)
            total = count + len(request.texts)
            size = wide * total if pads else tokens + sum(text.length for text in request.texts)
            if request.role == first.role and size <= self._budget and total <= share:
                chosen.add(id(request))
                longest, count, tokens = wide, total, tokens + sum(text.length for text in request.texts)
        batch = [request for request in self._waiting if id(request) in chosen]
        self._waiting = [request for request in self._waiting if id(request) not in chosen]
        self.batches.append(ServedBatch(count, tokens, longest * count if pads else tokens))
        return batch

    def _work(self, requests: list[_Request], started: float) -> None:
        vectors: Vectors | None = None
        failure: BaseException | None = None
        try:
            vectors = self._forward(requests)
        except BaseException as error:  # noqa: BLE001 - raised again in the callers' threads
            failure = error
        with self._changed:
            # Before the answers are set: an answered client may send its next request at once, and must find the worker
            # free.
            self._running -= 1
            self._running_texts -= sum(len(request.texts) for request in requests)
            self._hand_out()
            self._changed.notify_all()
        start = 0
        for request in requests:
            if vectors is None:
                request.answer.set_exception(failure)
                continue
            end = start + len(request.texts)
            request.answer.set_result((vectors[start:end], (started - request.arrived) * 1000))
            start = end

    def _forward(self, requests: list[_Request]) -> Vectors:
        role = requests[0].role
        vectors = self._model.forward([text for request in requests for text in request.texts], role)
        check_vectors(vectors, [text for request in requests for text in request.raw], role)
        return vectors
