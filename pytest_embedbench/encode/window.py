"""Windows: so many texts of a corpus as are tokenized and batched together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pytest_embedbench.encode.lookup import CachedVectors
    from pytest_embedbench.models.protocol import PreparedText, Vectors

MAX_WINDOW_TEXTS = 8192
"""Texts of a window: enough for neighbours of like length."""

FIRST_WINDOW_TEXTS = 1024
"""Texts of the first one: the model waits while it is tokenized."""

MAX_WINDOW_CHARACTERS = 8_000_000
"""Characters that end a window earlier: about 2 million tokens, which take 70 MB."""


def windows(texts: Sequence[str], first: Sequence[int] = ()) -> Iterator[list[int]]:
    """Places of all texts, window by window: those of ``first`` in one of their own, then the others in order."""
    if first:
        yield list(first)
    apart = set(first)
    window: list[int] = []
    most, characters = MAX_WINDOW_TEXTS if first else FIRST_WINDOW_TEXTS, 0
    for place, text in enumerate(texts):
        if place in apart:
            continue
        window.append(place)
        characters += len(text)
        if len(window) == most or characters >= MAX_WINDOW_CHARACTERS:
            yield window
            window, most, characters = [], MAX_WINDOW_TEXTS, 0
    if window:
        yield window


class Window:
    """Some of the texts on their way to vectors.

    ``places`` says where they stand among all; ``missing`` are indices of those that no cache had, and ``prepared``
    these, tokenized. ``vectors``, shape (texts, dimensions), float32, is whole once ``left`` is 0.
    """

    def __init__(self, positions: Sequence[int], texts: Sequence[str], cached: CachedVectors) -> None:
        self.positions, self.texts, self.cached = positions, texts, cached
        self.missing, self.left = cached.missing, len(cached.missing)
        self.prepared: list[PreparedText] = []
        self._vectors = cached.vectors

    @property
    def vectors(self) -> Vectors:
        return np.empty((0, 0), dtype=np.float32) if self._vectors is None else self._vectors

    def put(self, batch: Sequence[int], prepared: Sequence[PreparedText], made: Vectors) -> None:
        """Store a batch's vectors, and its texts with their tokens as counted by now.

        Args:
            batch: indices in ``prepared``.
            prepared: their texts.
            made: shape (batch, dimensions).
        """
        if self._vectors is None:
            self._vectors = np.empty((len(self.texts), made.shape[1]), dtype=np.float32)
        self._vectors[[self.missing[index] for index in batch]] = made
        for index, text in zip(batch, prepared, strict=True):
            self.prepared[index] = text
        self.left -= len(batch)


class WindowBatch(NamedTuple):
    """A batch of a window: indices in its ``prepared``, those texts, and the budget that it was cut under."""

    window: Window
    batch: list[int]
    prepared: list[PreparedText]
    budget: int

    @property
    def texts(self) -> list[str]:
        return [self.window.texts[self.window.missing[index]] for index in self.batch]
