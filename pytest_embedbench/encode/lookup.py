"""What the encode loop asks of a cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import PreparedText, Vectors


class CachedVectors(NamedTuple):
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

    def read(self, texts: Sequence[str]) -> CachedVectors:
        """Look up distinct texts."""
        ...

    def write(self, texts: Sequence[str], prepared: Sequence[PreparedText], vectors: Vectors) -> None:
        """Keep the vectors of a batch."""
        ...


class NoCache:
    """Remembers nothing."""

    def read(self, texts: Sequence[str]) -> CachedVectors:
        return CachedVectors(None, range(len(texts)))

    def write(self, texts: Sequence[str], prepared: Sequence[PreparedText], vectors: Vectors) -> None:
        pass
