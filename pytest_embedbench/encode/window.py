"""Windows of a corpus: the texts that are tokenized and batched together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pytest_embedbench.encode.lookup import CachedVectors
    from pytest_embedbench.models.protocol import PreparedText, Vectors

MAX_WINDOW_TEXTS = 8192
"""Texts in a window, at most: enough to batch texts of nearly equal length together."""

FIRST_WINDOW_TEXTS = 1024
"""Texts in the first window; few, since the model waits while they are tokenized."""

MAX_WINDOW_CHARACTERS = 8_000_000
"""Characters that end a window early: about 2 million tokens, which take 70 MB."""


def windows(texts: Sequence[str], first: Sequence[int] = ()) -> Iterator[list[int]]:
    """Yield the positions of all texts by window: ``first`` in a window of their own, then the others in order."""
    if first:
        yield list(first)
    already_given = set(first)
    window: list[int] = []
    most, characters = MAX_WINDOW_TEXTS if first else FIRST_WINDOW_TEXTS, 0
    for position, text in enumerate(texts):
        if position in already_given:
            continue
        window.append(position)
        characters += len(text)
        if len(window) == most or characters >= MAX_WINDOW_CHARACTERS:
            yield window
            window, most, characters = [], MAX_WINDOW_TEXTS, 0
    if window:
        yield window


class Window:
    """Texts of a window, with their vectors as far as they are computed.

    ``positions`` has the texts' positions in the corpus, ``missing`` the indices of the texts that the cache did not
    have, and ``prepared`` these texts, tokenized. ``vectors``, shape (texts, dimensions), float32, is complete once
    ``left`` is 0.
    """

    def __init__(self, positions: Sequence[int], texts: Sequence[str], cached: CachedVectors) -> None:
        self.positions, self.texts, self.cached = positions, texts, cached
        self.missing, self.left = cached.missing, len(cached.missing)
        self.prepared: list[PreparedText] = []
        self._vectors = cached.vectors

    @property
    def vectors(self) -> Vectors:
        return np.empty((0, 0), dtype=np.float32) if self._vectors is None else self._vectors

    def put(self, indices: Sequence[int], prepared: Sequence[PreparedText], vectors: Vectors) -> None:
        """Store the vectors of a batch, and its texts, whose tokens may have been counted by the server only now.

        Args:
            indices: the batch's indices in ``self.prepared``.
            prepared: its texts.
            vectors: its vectors, shape (batch, dimensions).
        """
        if self._vectors is None:
            self._vectors = np.empty((len(self.texts), vectors.shape[1]), dtype=np.float32)
        self._vectors[[self.missing[index] for index in indices]] = vectors
        for index, text in zip(indices, prepared, strict=True):
            self.prepared[index] = text
        self.left -= len(indices)


class WindowBatch(NamedTuple):
    """A batch of a window: its indices in the window's ``prepared``, those texts, and the budget it was cut under."""

    window: Window
    indices: list[int]
    prepared: list[PreparedText]
    budget: int

    @property
    def texts(self) -> list[str]:
        return [self.window.texts[self.window.missing[index]] for index in self.indices]

    def part(self, positions: Sequence[int]) -> WindowBatch:
        """Return the batch with only the texts at these positions."""
        indices = [self.indices[position] for position in positions]
        return WindowBatch(self.window, indices, [self.prepared[position] for position in positions], self.budget)
