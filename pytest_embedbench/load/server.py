"""Serve a model in-process as a server would: one worker takes everything that waits, under a token budget.

No timer: while the worker is idle, a request starts at once; while it is busy, requests gather into the next batch.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple, Self

from pytest_embedbench.encode.loop import refuse_broken
from pytest_embedbench.models.protocol import SERVED, PreparedText, Role

if TYPE_CHECKING:
    from types import TracebackType

    from pytest_embedbench.models.protocol import Encoder, Vectors


class _Request(NamedTuple):
    raw: Sequence[str]
    texts: list[PreparedText]
    role: Role
    answer: Future[Vectors]


class MicroBatcher:
    """Call ``embed`` from many threads; use as a context manager, which starts and stops the worker."""

    def __init__(self, model: Encoder, batch_tokens: int) -> None:
        self._model, self._budget = model, batch_tokens
        self._waiting: list[_Request] = []
        self._changed = threading.Condition()
        self._closed = False
        self._worker = threading.Thread(target=self._work, name="embedbench-batcher", daemon=True)

    def __enter__(self) -> Self:
        self._worker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._worker.join()

    def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        """Vectors of the texts, shape (texts, dimensions); blocks until they are there.

        Tokenization runs in the caller's thread, off the worker's path. To a model that a server runs, each request
        goes as it is: the server gathers them.
        """
        request = _Request(texts, self._model.prepare(texts, role), role, Future())
        if self._model.facts.device == SERVED:
            return self._forward([request])
        with self._changed:
            if self._closed:
                raise RuntimeError("the server is closed")
            self._waiting.append(request)
            self._changed.notify()
        return request.answer.result()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    return
                taken = self._take()
            self._answer(taken)

    def _take(self) -> list[_Request]:
        """The longest-waiting request and all others of its role, in order, that fit beside it."""
        role = self._waiting[0].role
        taken: list[_Request] = []
        left: list[_Request] = []
        longest = count = 0
        for request in self._waiting:
            wide = max([longest, *(text.length for text in request.texts)])
            fits = not taken or wide * (count + len(request.texts)) <= self._budget
            if request.role == role and fits:
                taken.append(request)
                longest, count = wide, count + len(request.texts)
            else:
                left.append(request)
        self._waiting = left
        return taken

    def _forward(self, requests: list[_Request]) -> Vectors:
        role = requests[0].role
        vectors = self._model.forward([text for request in requests for text in request.texts], role)
        refuse_broken(vectors, [text for request in requests for text in request.raw], role)
        return vectors

    def _answer(self, requests: list[_Request]) -> None:
        try:
            vectors = self._forward(requests)
        except BaseException as error:  # noqa: BLE001 - it belongs to the callers, whatever it is
            for request in requests:
                request.answer.set_exception(error)
            return
        start = 0
        for request in requests:
            request.answer.set_result(vectors[start : start + len(request.texts)])
            start += len(request.texts)
