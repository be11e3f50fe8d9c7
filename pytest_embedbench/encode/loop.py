"""The encode loop: tokenize once, batch by tokens, write each vector to its place."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from pytest_embedbench.encode.plan import batches, distinct
from pytest_embedbench.errors import ModelError

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Encoder, Role, Vectors

BATCH_TOKENS = {"cpu": 4096, "cuda": 65536, "mps": 16384}
"""Default token budget of a batch by kind of device."""

TOKENIZE_AT_ONCE = 4096
"""Texts tokenized in one call; keeps the progress bar alive on a large corpus."""


class Progress(Protocol):
    """Hears of work done; a terminal's bar, or nothing."""

    def start(self, label: str, total: int) -> None: ...
    def advance(self, tokens: int) -> None: ...
    def finish(self) -> None: ...


class Silence:
    """Progress that nobody sees."""

    def start(self, label: str, total: int) -> None:
        pass

    def advance(self, tokens: int) -> None:
        pass

    def finish(self) -> None:
        pass


@dataclass(frozen=True)
class Encoded:
    """Vectors of the distinct texts, and what making them took.

    ``vectors`` has shape (distinct texts, dimensions), float32; ``indices`` gives each input text its row.
    Tokens: ``own_tokens`` of the texts themselves, ``tokens`` with prompts and special tokens, ``padded_tokens``
    with padding.
    """

    vectors: Vectors
    indices: list[int]
    own_tokens: int
    tokens: int
    padded_tokens: int
    seconds: float


def encode(model: Encoder, texts: Sequence[str], role: Role, *, batch_tokens: int, progress: Progress) -> Encoded:
    """Encode texts for a role.

    Raises:
        ModelError: a vector holds NaN or infinity; the message names the text.
    """
    started = time.perf_counter()
    unique, indices = distinct(texts)
    prepared = [
        text
        for start in range(0, len(unique), TOKENIZE_AT_ONCE)
        for text in model.prepare(unique[start : start + TOKENIZE_AT_ONCE], role)
    ]
    lengths = [text.length for text in prepared]
    vectors: Vectors | None = None
    padded = 0
    progress.start(role, sum(lengths))
    try:
        for batch in batches(lengths, batch_tokens):
            made = model.forward([prepared[index] for index in batch], role)
            refuse_broken(made, [unique[index] for index in batch], role)
            if vectors is None:
                vectors = np.empty((len(unique), made.shape[1]), dtype=np.float32)
            vectors[batch] = made
            padded += max(lengths[index] for index in batch) * len(batch)
            progress.advance(sum(lengths[index] for index in batch))
    finally:
        progress.finish()
    return Encoded(
        vectors=np.empty((0, 0), dtype=np.float32) if vectors is None else vectors,
        indices=indices,
        own_tokens=sum(text.own_tokens for text in prepared),
        tokens=sum(lengths),
        padded_tokens=padded,
        seconds=time.perf_counter() - started,
    )


def refuse_broken(vectors: Vectors, texts: Sequence[str], role: Role) -> None:
    """Check what a model gave for these texts.

    Raises:
        ModelError: too few or too many vectors, or one that holds NaN or infinity; the message names its text.
    """
    if len(vectors) != len(texts):
        raise ModelError(f"the model gave {len(vectors)} vectors for {len(texts)} texts")
    if not texts:
        return
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise ModelError(f"the vector of this {role} holds NaN or infinity: {texts[broken[0]][:200]!r}")
