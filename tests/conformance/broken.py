"""Models that are broken in one way each, made of a sound one: what a probe must catch."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager

import msgspec
import numpy as np

from pytest_embedbench.datasets.types import Role
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
from pytest_embedbench.models.protocol import SERVED_DEVICE, AnsweredBatch, Limits, ModelFacts, PreparedText
from tests.support.served_fake import ServedFake

Change = Callable[["Broken", np.ndarray, Sequence[PreparedText], Role], np.ndarray]


class Broken:
    """A sound model whose vectors or facts are changed on the way out."""

    def __init__(self, model: SentenceTransformerModel | Broken, change: Change | None = None, **facts: object) -> None:
        self.sound, self._change = model, change
        self.facts: ModelFacts = msgspec.structs.replace(model.facts, **facts)
        self.calls = itertools.count()

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        return self.sound.prepare(texts, role)

    def forward(self, batch: Sequence[PreparedText], role: Role) -> np.ndarray:
        vectors = self.sound.forward(batch, role)
        return self._change(self, vectors, batch, role) if self._change else vectors


def short_queries(model: SentenceTransformerModel) -> Broken:
    return Broken(model, lambda _, vectors, __, role: vectors[:, :256] if role == "query" else vectors)


def nan_in_batches(model: SentenceTransformerModel) -> Broken:
    """fp16 overflow: one number of one text of a larger batch."""

    def change(_: Broken, vectors: np.ndarray, __: Sequence[PreparedText], ___: Role) -> np.ndarray:
        if len(vectors) > 1:
            vectors[-1, 7] = np.nan
        return vectors

    return Broken(model, change)


def without_normalization(model: SentenceTransformerModel) -> Broken:
    return Broken(model, lambda _, vectors, __, ___: vectors * 1.7)


def in_training_mode(model: SentenceTransformerModel) -> Broken:
    """Dropout: each pass is another one."""

    def change(broken: Broken, vectors: np.ndarray, _: Sequence[PreparedText], __: Role) -> np.ndarray:
        noise = np.random.default_rng(next(broken.calls)).normal(scale=0.01, size=vectors.shape)
        return (vectors + noise).astype(np.float32)

    return Broken(model, change)


def noisy(model: SentenceTransformerModel | Broken, size: float) -> Broken:
    """A server whose vectors of one text are about 1.4 times ``size`` from each other."""

    def change(broken: Broken, vectors: np.ndarray, _: Sequence[PreparedText], __: Role) -> np.ndarray:
        noise = np.random.default_rng(next(broken.calls)).normal(size=vectors.shape)
        moved: np.ndarray = vectors + size * noise / np.linalg.norm(noise, axis=1, keepdims=True)
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        return moved.astype(np.float32)

    return Broken(model, change, device=SERVED_DEVICE, dtype="")


class WithoutMask(Broken):
    """Padding is attended to and pooled like text."""

    def forward(self, batch: Sequence[PreparedText], role: Role) -> np.ndarray:
        longest = max(text.length for text in batch)
        padded = [text._replace(payload=text.payload + [0] * (longest - text.length)) for text in batch]
        return self.sound.forward(padded, role)


class SortedAndNotPutBack(Broken):
    """The batch is ordered by length, its vectors stay in that order."""

    def forward(self, batch: Sequence[PreparedText], role: Role) -> np.ndarray:
        return self.sound.forward(sorted(batch, key=lambda text: text.length), role)


class Cut(Broken):
    """A server that cuts texts after so many tokens, in silence."""

    def __init__(self, model: SentenceTransformerModel, tokens: int) -> None:
        super().__init__(model, device=SERVED_DEVICE, dtype="")
        self.tokens = tokens

    def forward(self, batch: Sequence[PreparedText], role: Role) -> np.ndarray:
        cut = [
            PreparedText([*text.payload[: self.tokens - 1], 102], min(text.length, self.tokens), text.own_tokens)
            for text in batch
        ]
        return self.sound.forward(cut, role)


def forgets_everything(model: SentenceTransformerModel) -> Broken:
    """Weights initialized anew: each text has a vector, and none means anything."""

    def change(_: Broken, vectors: np.ndarray, batch: Sequence[PreparedText], __: Role) -> np.ndarray:
        made = [np.random.default_rng(text.payload).normal(size=vectors.shape[1]) for text in batch]
        return np.array([vector / np.linalg.norm(vector) for vector in made], dtype=np.float32)

    return Broken(model, change)


def meaning_comes_last(model: SentenceTransformerModel) -> Broken:
    """The first 128 dimensions are the same for every text, so that vectors cannot be cut to them."""

    def change(_: Broken, vectors: np.ndarray, __: Sequence[PreparedText], ___: Role) -> np.ndarray:
        vectors[:, :128] = 0.01
        return vectors

    return Broken(model, change)


class RefusesEmpty(Broken):
    """A server that answers 400 where no token is left."""

    def forward(self, batch: Sequence[PreparedText], role: Role) -> np.ndarray:
        if any(not text.own_tokens for text in batch):
            raise ModelError("the server says 400: input cannot be empty")
        return self.sound.forward(batch, role)


class ExchangesRequests(Broken, ServedFake):
    """A server that gives a text its neighbour's vector, but only beside other requests."""

    def __init__(self, model: SentenceTransformerModel) -> None:
        Broken.__init__(self, model, device=SERVED_DEVICE, dtype="")
        ServedFake.__init__(self, Limits(texts=8, tokens=4096, requests=4))

    def submit(self, batch: Sequence[PreparedText], role: Role, *, tries: int | None = None) -> Future[AnsweredBatch]:
        vectors = self.forward(batch, role)
        # Only one in three requests is hit.
        if next(self.calls) % 3 == 0:
            vectors = np.roll(vectors, 1, axis=0)
        answer: Future[AnsweredBatch] = Future()
        answer.set_result(AnsweredBatch(vectors, batch, {}))
        return answer


class SharesABuffer(Broken):
    """A model whose two threads write into one buffer."""

    workers = 2

    def __init__(self, model: SentenceTransformerModel) -> None:
        super().__init__(model)
        self._both = threading.Barrier(2)
        self._parallel = False

    @contextmanager
    def side_by_side(self) -> Iterator[Executor]:
        self._parallel = True
        with ThreadPoolExecutor(2) as pool:
            yield pool
        self._parallel = False

    def forward(self, batch: Sequence[PreparedText], role: Role) -> np.ndarray:
        vectors = super().forward(batch, role)
        if self._parallel:
            self._both.wait(10)
            self._shared = vectors
            self._both.wait(10)
            return self._shared[: len(batch)]
        return vectors


class WrongAtEqualLength(Broken):
    """Texts of equal length need no padding, and take a path on which they are exchanged."""

    def forward(self, batch: Sequence[PreparedText], role: Role) -> np.ndarray:
        vectors = super().forward(batch, role)
        return vectors[::-1].copy() if len({text.length for text in batch}) == 1 else vectors


class Remembers(Broken):
    """Behind the end of a text stands what a longer one before it left there."""

    before: Sequence[PreparedText] = ()

    def forward(self, batch: Sequence[PreparedText], role: Role) -> np.ndarray:
        vectors = super().forward(batch, role)
        longest = max(text.length for text in batch)
        if self.before and max(text.length for text in self.before) > longest:
            vectors = vectors + 0.3 * super().forward(self.before[:1], role)
        self.before = batch
        return vectors
