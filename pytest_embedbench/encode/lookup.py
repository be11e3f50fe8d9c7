"""Interface between the encode loop and a cache of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import PreparedText, Vectors


class CachedVectors(NamedTuple):
    """Vectors of some texts, as far as a cache has them.

    ``vectors`` has a row for each text, shape (texts, dimensions); the rows of ``missing`` texts are not filled yet. It
    is None if the cache has none of the texts. ``own_tokens`` and ``tokens`` count the cached texts.
    """

    vectors: Vectors | None
    missing: Sequence[int]
    own_tokens: int = 0
    tokens: int = 0
    full_texts: int = 0
    """Cached texts that fill the model's maximal length; most of them were cut."""


class Cache(Protocol):
    """Cache of one model's vectors for texts in one role."""

    def read(self, texts: Sequence[str]) -> CachedVectors:
        """Return the cached vectors of distinct texts."""
        ...

    def write(self, texts: Sequence[str], prepared: Sequence[PreparedText], vectors: Vectors) -> None:
        """Store the vectors of a batch."""
        ...

    def remove(self, texts: Sequence[str]) -> None:
        """Remove the vectors of these texts."""
        ...


class NoCache:
    """Cache that has no vectors and stores none."""

    def read(self, texts: Sequence[str]) -> CachedVectors:
        return CachedVectors(None, range(len(texts)))

    def write(self, texts: Sequence[str], prepared: Sequence[PreparedText], vectors: Vectors) -> None:
        pass

    def remove(self, texts: Sequence[str]) -> None:
        pass
