"""Requests to a served model for many batches: as many in flight as it takes, in parts where it takes no more."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, Self, TypeVar

import numpy as np

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import AnsweredBatch
from pytest_embedbench.models.served.broken_texts import BrokenTexts
from pytest_embedbench.models.served.refusals import is_refusal, is_server_failure, says_too_many, whole_request_fix
from pytest_embedbench.models.text_errors import BROKEN_VECTOR, ZERO_VECTOR
from pytest_embedbench.remote.errors import CountError, EndpointError, OrderError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import PreparedText, ServedEncoder, Vectors

PROBED_PLACES = 4
"""Texts of an answer that are asked again alone, to see whether its vectors stand in the order of the texts."""

MIN_PROBED_PLACES = 2
"""Texts of an answer with a usable vector, without which nothing can be said of its order."""

ORDER_TOLERANCE = 0.02
"""1 - cosine; largest distance of a text's vectors, alone and in a batch, in any number format."""

SPLITS_BEFORE_LEARNING = 3
"""Batches that failed with a server error and succeeded in parts, after which smaller ones are sent from the start."""


class RequestBatch(Protocol):
    """Texts that one request holds."""

    @property
    def prepared(self) -> Sequence[PreparedText]: ...

    @property
    def texts(self) -> Sequence[str]:
        """The texts as they were before they were prepared."""
        ...

    def part(self, positions: Sequence[int]) -> Self:
        """Return the batch with only the texts at these positions."""
        ...


RequestBatchT = TypeVar("RequestBatchT", bound=RequestBatch)


class RequestError(ModelError):
    """A request failed; ``cause`` is the client's error."""

    def __init__(self, cause: EndpointError, *, where: str = "") -> None:
        self.cause = cause
        problem = f"{cause.where}: {cause.problem}" if cause.where else cause.problem
        super().__init__(problem, where=where, fix=cause.fix)
        self.args = (cause,)


@dataclass
class _Split:
    """A request that was refused and sent in parts: whether all of its texts have vectors in the end."""

    texts: int
    reason: str
    by_size: bool
    """Whether the server's words, or its status, say that the number of texts was too large."""
    left: int
    server_error: bool = False
    whole: bool = True


@dataclass(frozen=True)
class _Request(Generic[RequestBatchT]):
    batch: RequestBatchT
    splits: tuple[_Split, ...] = ()
    again: bool = False
    """Whether it was sent before, and answered with wrong indices."""
    in_flight: int = 1
    """Limit on the requests in flight when it was sent."""

    @property
    def texts(self) -> int:
        return len(self.batch.prepared)


def answers(
    model: ServedEncoder, batches: Iterable[RequestBatchT], role: Role
) -> Iterator[tuple[RequestBatchT, AnsweredBatch]]:
    """Yield batches with their answers, in the order in which answers arrive; batches are drawn as they are needed.

    A batch that the server refuses, or does not answer in time, is sent in halves, and a text that fails alone is left
    out, so that the other texts get their vectors. What the server takes is remembered in the model's pace; while its
    ``splits`` is false, each of these is a failure. After any other failure no more requests are sent, but those in
    flight are awaited and yielded, since they were paid for.

    Args:
        model: the model.
        batches: what to send.
        role: role of all texts.

    Raises:
        UnusableTextsError: some texts have no usable vector; all others were yielded.
        ModelError: the first other failure, once nothing is in flight.
    """
    delivery = _Delivery(model, batches, role)
    try:
        yield from delivery.run()
    finally:
        # Only where the caller stops early, or an unexpected error is raised, is anything left in flight.
        delivery.cancel()


class _Delivery(Generic[RequestBatchT]):
    """The requests for some batches; ``run`` sends them once."""

    def __init__(self, model: ServedEncoder, batches: Iterable[RequestBatchT], role: Role) -> None:
        self._model, self._pace, self._role = model, model.pace, role
        self._waiting = iter(batches)
        self._parts: deque[_Request[RequestBatchT]] = deque()
        """Parts of batches, which are sent before the next batch."""
        self._in_flight: dict[Future[AnsweredBatch], _Request[RequestBatchT]] = {}
        self._failure: ModelError | None = None
        self._broken = BrokenTexts(model, role)
        self._server_errors = 0

    def run(self) -> Iterator[tuple[RequestBatchT, AnsweredBatch]]:
        while True:
            self._send()
            if not self._in_flight:
                break
            for future in wait(self._in_flight, return_when=FIRST_COMPLETED).done:
                request = self._in_flight.pop(future)
                try:
                    answer = future.result()
                except RequestError as error:
                    self._failed(request, error)
                except ModelError as error:
                    self._fail(error)
                else:
                    yield from self._answered(request, answer)
        self._broken.raise_any(self._failure)
        if self._failure:
            raise self._failure

    def cancel(self) -> None:
        for future in self._in_flight:
            future.cancel()

    def _send(self) -> None:
        most = self._pace.requests if self._pace.splits else self._model.limits.requests
        while not self._failure and not self._broken.enough and len(self._in_flight) < most:
            request = self._next()
            if request is None:
                return
            sent = _Request(request.batch, request.splits, request.again, most)
            # A part of a request on which the server failed is not sent over and over.
            tries = (1 if sent.texts > 1 else 2) if any(split.server_error for split in sent.splits) else None
            self._in_flight[self._model.submit(sent.batch.prepared, self._role, tries=tries)] = sent

    def _next(self) -> _Request[RequestBatchT] | None:
        """Return the next request, cut to the number of texts that the server takes."""
        if self._parts:
            request = self._parts.popleft()
        elif (batch := next(self._waiting, None)) is not None:
            request = _Request(batch)
        else:
            return None
        most = self._pace.texts
        if not self._pace.splits or request.texts <= most:
            return request
        # In equal parts, lest the last is much smaller than the others.
        count = -(-request.texts // most)
        bounds = [request.texts * part // count for part in range(count + 1)]
        self._queue(request, bounds, request.splits)
        return self._parts.popleft()

    def _queue(self, request: _Request[RequestBatchT], bounds: Sequence[int], splits: tuple[_Split, ...]) -> None:
        """Put parts of a request before all others; ``bounds`` are their first positions, and the number of texts."""
        parts = [request.batch.part(range(*pair)) for pair in itertools.pairwise(bounds)]
        self._parts.extendleft(_Request(part, splits) for part in reversed(parts))

    def _answered(
        self, request: _Request[RequestBatchT], answer: AnsweredBatch
    ) -> Iterator[tuple[RequestBatchT, AnsweredBatch]]:
        usable = _usable(answer.vectors)
        good = np.flatnonzero(usable).tolist()
        if len(good) == request.texts:
            self._settle(request)
            yield request.batch, answer
            return
        if good:
            part = request.batch.part(good)
            self._settle(_Request(part, request.splits))
            yield part, answer._replace(vectors=answer.vectors[good], texts=[answer.texts[index] for index in good])
        elif request.texts == 1:
            self._leave_out(request, BROKEN_VECTOR if answer.vectors.any() else ZERO_VECTOR)
            return
        # Alone, since a text may have broken the vectors of others in its batch.
        alone = [request.batch.part([index]) for index in np.flatnonzero(~usable).tolist()]
        self._parts.extendleft(_Request(part, request.splits) for part in reversed(alone))

    def _failed(self, request: _Request[RequestBatchT], error: RequestError) -> None:
        cause = error.cause
        one_vector = isinstance(cause, CountError) and cause.came == 1
        if not self._pace.splits:
            fix = whole_request_fix(request.texts, cause) or error.fix
            self._fail(ModelError(error.problem, where=error.where, fix=fix))
        elif cause.fatal:
            self._fail(error)
        elif isinstance(cause, OrderError):
            self._wrong_order(request, error, cause)
        elif request.texts == 1 and cause.timed_out:
            self._too_slow(request, error)
        elif request.texts == 1 and is_refusal(cause):
            self._leave_out(request, cause)
        elif request.texts == 1 or not (one_vector or cause.timed_out or is_refusal(cause)):
            self._fail(error)
        elif one_vector:
            # It has encoded the first text only, so that nothing less than one text a request helps.
            self._pace.refused(2, cause.problem)
            self._parts.appendleft(_Request(request.batch, request.splits))
        elif cause.timed_out:
            self._pace.timed_out(request.texts, request.in_flight, cause.problem)
            self._halve(request, request.splits)
        else:
            server_error = is_server_failure(cause)
            by_size = says_too_many(cause) or not server_error
            split = _Split(request.texts, cause.problem, by_size, request.texts, server_error)
            self._halve(request, (*request.splits, split))

    def _too_slow(self, request: _Request[RequestBatchT], error: RequestError) -> None:
        if request.in_flight > 1:
            self._pace.timed_out(1, request.in_flight, error.cause.problem)
            self._parts.appendleft(_Request(request.batch, request.splits))
        else:
            fix = "raise timeout in the model's definition: one text, with no other request in flight, takes longer"
            self._fail(ModelError(error.problem, where=error.where, fix=fix))

    def _halve(self, request: _Request[RequestBatchT], splits: tuple[_Split, ...]) -> None:
        self._queue(request, [0, (request.texts + 1) // 2, request.texts], splits)

    def _settle(self, request: _Request[RequestBatchT], *, usable: bool = True) -> None:
        """Note that a request's texts are done, and learn from the refused requests that they were parts of."""
        if usable:
            self._broken.encoded()
        for split in request.splits:
            split.left -= request.texts
            split.whole = split.whole and usable
            if split.left or not split.whole:
                continue
            self._server_errors += not split.by_size
            if split.by_size or self._server_errors >= SPLITS_BEFORE_LEARNING:
                self._pace.refused(split.texts, split.reason)

    def _leave_out(self, request: _Request[RequestBatchT], reason: EndpointError | str) -> None:
        self._broken.add(request.batch.texts[0], request.batch.prepared[0], reason)
        self._settle(request, usable=False)

    def _wrong_order(self, request: _Request[RequestBatchT], error: RequestError, cause: OrderError) -> None:
        if self._pace.in_order or not request.again:
            # In the meantime another answer may have shown that the order is right.
            self._parts.appendleft(_Request(request.batch, request.splits, again=True))
            return
        try:
            known = self._stand_in_order(request.batch, cause.standing)
        except ModelError as other:
            self._fail(other)
            return
        if known:
            self._pace.trust_order(cause.problem)
            self._parts.appendleft(_Request(request.batch, request.splits, again=True))
            return
        problem = f"{error.problem}, and they do not stand in the order of the texts"
        fix = "batch_texts = 1 in the model's definition sends one text in a request, which needs no index"
        self._fail(ModelError(problem, where=error.where, fix=fix))

    def _stand_in_order(self, batch: RequestBatchT, standing: Vectors) -> bool:
        """Whether the vectors of an answer stand in the order of its texts, as some of the texts show, asked alone."""
        # Texts without a usable vector say nothing of the order.
        usable = np.flatnonzero(_usable(standing))
        if len(usable) < min(len(standing), MIN_PROBED_PLACES):
            return False
        chosen = np.unique(np.linspace(0, len(usable) - 1, PROBED_PLACES).round().astype(int))
        units = np.zeros_like(standing)
        units[usable] = _units(standing[usable])
        for place in usable[chosen].tolist():
            alone = self._model.submit(batch.part([place]).prepared, self._role).result().vectors
            distances = 1 - units @ _units(alone)[0]
            # Another text's vector may be as close where the texts are the same for the model.
            if not distances[place] <= min(ORDER_TOLERANCE, float(distances.min()) + ORDER_TOLERANCE / 100):
                return False
        return True

    def _fail(self, error: ModelError) -> None:
        self._failure = self._failure or error


def _usable(vectors: Vectors) -> NDArray[np.bool_]:
    """Return whether each vector is finite and not zero, shape (vectors,)."""
    return np.asarray(np.isfinite(vectors).all(axis=1) & vectors.any(axis=1))


def _units(vectors: Vectors) -> Vectors:
    with np.errstate(invalid="ignore", divide="ignore"):
        units: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return units
