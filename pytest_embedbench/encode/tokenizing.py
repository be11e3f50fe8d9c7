"""Tokenize texts ahead of the model that encodes them, and forecast the tokens of texts that are still to come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_embedbench.models.protocol import ParallelEncoder, PreparedText

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.encode.window import Window
    from pytest_embedbench.models.protocol import Encoder

Tokenized = Callable[[], list[PreparedText]]
"""Function that returns the tokenized texts, and waits for them where another thread tokenizes."""


@contextmanager
def tokenizing(model: Encoder, role: Role) -> Iterator[Callable[[Sequence[str]], Tokenized]]:
    """Yield a function that begins to tokenize texts.

    Where the model may work in several threads, another thread tokenizes the texts ahead; otherwise they are tokenized
    when the result is needed.
    """
    if not isinstance(model, ParallelEncoder):
        yield lambda texts: lambda: _prepare(model, texts, role)
        return
    with ThreadPoolExecutor(1, "embedbench-tokenize") as pool:
        try:
            yield lambda texts: pool.submit(_prepare, model, texts, role).result
        finally:
            pool.shutdown(cancel_futures=True)


def _prepare(model: Encoder, texts: Sequence[str], role: Role) -> list[PreparedText]:
    return model.prepare(texts, role) if texts else []


class TokenForecast:
    """Forecast of the texts and tokens that a model has to encode.

    A tokenized window counts with its actual tokens, without the texts that the cache has. Later windows count by their
    characters, at the rate of tokens per character in the windows so far.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = len(texts)
        self._tokens = self._characters = 0
        self._unseen_characters = sum(map(len, texts))

    def add(self, window: Window) -> None:
        """Count a window that is tokenized now."""
        self.texts -= len(window.positions) - len(window.missing)
        self._tokens += sum(text.length for text in window.prepared)
        self._characters += sum(len(window.texts[index]) for index in window.missing)
        self._unseen_characters -= sum(map(len, window.texts))

    @property
    def tokens(self) -> int:
        return self._tokens + round(self._unseen_characters * self._tokens / max(1, self._characters))
