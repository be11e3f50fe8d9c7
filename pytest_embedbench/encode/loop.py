"""The encode loop: tokenize once, batch by tokens, write each vector to its place."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from pytest_embedbench.encode.plan import batches, distinct
from pytest_embedbench.encode.served import answers
from pytest_embedbench.encode.workers import forwarded
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import Answered, ServedEncoder

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Encoder, PreparedText, Role, Vectors

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


class Found(NamedTuple):
    """What a cache knows of some texts.

    ``vectors`` has a row for each text, those of ``missing`` not yet filled; None where nothing was found. Tokens are
    those of the texts that were found.
    """

    vectors: Vectors | None
    missing: Sequence[int]
    own_tokens: int = 0
    tokens: int = 0
    full_texts: int = 0
    """Those as long as the model takes, so that most were cut."""


class Cache(Protocol):
    """Remembers what one model made of texts in one role."""

    def read(self, texts: Sequence[str]) -> Found:
        """Look up distinct texts."""
        ...

    def write(self, texts: Sequence[str], prepared: Sequence[PreparedText], vectors: Vectors) -> None:
        """Keep the vectors of a batch."""
        ...


class NoCache:
    """Remembers nothing."""

    def read(self, texts: Sequence[str]) -> Found:
        return Found(None, range(len(texts)))

    def write(self, texts: Sequence[str], prepared: Sequence[PreparedText], vectors: Vectors) -> None:
        pass


@dataclass(frozen=True)
class Encoded:
    """Vectors of the distinct texts, and what making them took.

    ``vectors`` has shape (distinct texts, dimensions), float32; ``indices`` gives each input text its row.
    Tokens: ``own_tokens`` of the texts themselves, ``tokens`` with prompts and special tokens, ``padded_tokens``
    with padding. ``padded_tokens`` and ``seconds`` are of what was encoded; the other two also count the
    ``cached_texts``, which came from the cache and not from the model, with their ``cached_own_tokens``.
    """

    vectors: Vectors
    indices: list[int]
    own_tokens: int
    tokens: int
    padded_tokens: int
    seconds: float
    cached_texts: int = 0
    cached_own_tokens: int = 0
    full_texts: int = 0
    """Distinct texts that fill the model's length: they were cut, but for some that just fit. 0 where only the server
    knows."""
    server_ms: dict[str, float] = field(default_factory=dict)
    """What a server said of its own time: milliseconds a request, the mean, by name."""


def encode(
    model: Encoder,
    texts: Sequence[str],
    role: Role,
    *,
    batch_tokens: int,
    progress: Progress,
    cache: Cache | None = None,
    label: str = "",
) -> Encoded:
    """Encode texts for a role, but for those that the cache knows; each batch goes to the cache as it is made.

    ``label`` is what progress shows, else the role.

    Raises:
        ModelError: a vector holds NaN or infinity; the message names the text. Or a server failed; the message says how
            many texts were encoded until then, and whether the cache keeps them.
    """
    unique, indices = distinct(texts)
    cache = cache or NoCache()
    found = cache.read(unique)
    vectors, missing = found.vectors, found.missing
    started = time.perf_counter()
    prepared = [
        text
        for start in range(0, len(missing), TOKENIZE_AT_ONCE)
        for text in model.prepare([unique[place] for place in missing[start : start + TOKENIZE_AT_ONCE]], role)
    ]
    lengths = [text.length for text in prepared]
    limits = model.limits if isinstance(model, ServedEncoder) else None
    plan = (
        batches(lengths, min(batch_tokens, limits.tokens), limits.texts) if limits else batches(lengths, batch_tokens)
    )
    padded, keeping, done = 0, 0.0, 0
    server, asked = Counter[str](), Counter[str]()
    progress.start(label or role, sum(lengths))
    try:
        with closing(_answers(model, plan, prepared, role)) as answered:
            for batch, (made, ready, server_ms) in answered:
                places = [missing[index] for index in batch]
                refuse_broken(made, [unique[place] for place in places], role)
                if vectors is None:
                    vectors = np.empty((len(unique), made.shape[1]), dtype=np.float32)
                vectors[places] = made
                keeping -= time.perf_counter()
                cache.write([unique[place] for place in places], ready, made)
                keeping += time.perf_counter()
                progress.advance(sum(lengths[index] for index in batch))
                for index, text in zip(batch, ready, strict=True):
                    prepared[index] = text
                padded += max(text.length for text in ready) * len(batch)
                done += len(batch)
                server.update(server_ms)
                asked.update(server_ms.keys())
    except ModelError as error:
        if not limits:
            raise
        kept = "" if isinstance(cache, NoCache) else "; the embedding cache has them for the next run"
        raise ModelError(f"{error}\n  {done:,} of {len(missing):,} texts were encoded before{kept}") from None
    finally:
        progress.finish()
    return Encoded(
        vectors=np.empty((0, 0), dtype=np.float32) if vectors is None else vectors,
        indices=indices,
        own_tokens=found.own_tokens + sum(text.own_tokens for text in prepared),
        tokens=found.tokens + sum(text.length for text in prepared),
        padded_tokens=padded,
        seconds=time.perf_counter() - started - keeping,
        cached_texts=len(unique) - len(missing),
        cached_own_tokens=found.own_tokens,
        full_texts=0 if limits else found.full_texts + sum(length == model.facts.max_tokens for length in lengths),
        server_ms={name: total / asked[name] for name, total in server.items()},
    )


def _answers(
    model: Encoder, plan: Sequence[list[int]], prepared: Sequence[PreparedText], role: Role
) -> Generator[tuple[list[int], Answered]]:
    if isinstance(model, ServedEncoder):
        yield from answers(model, plan, prepared, role)
        return
    with closing(forwarded(model, plan, prepared, role)) as made:
        for batch, vectors in made:
            yield batch, Answered(vectors, [prepared[index] for index in batch], {})


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
