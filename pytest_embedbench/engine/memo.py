"""Results that are computed once and kept, failures included."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memo(Generic[K, V]):
    """Results of one kind of work by key.

    An error is kept like a result: a model that does not load is tried once, not once for every check.
    """

    def __init__(self) -> None:
        self._results: dict[K, V] = {}
        self._errors: dict[K, Exception] = {}

    def __contains__(self, key: K) -> bool:
        """Whether the key was asked for, whatever came of it."""
        return key in self._results or key in self._errors

    def get(self, key: K, compute: Callable[[], V]) -> V:
        """Return the result for a key; compute it if there is none yet.

        Raises:
            Exception: the error that ``compute`` raised when this key was first asked for.
        """
        # The very same exception, so that every check that needs the result fails with the first one's message.
        if error := self._errors.get(key):
            raise error
        if key not in self._results:
            try:
                self._results[key] = compute()
            except Exception as error:
                self._errors[key] = error
                raise
        return self._results[key]

    def put(self, key: K, result: V) -> None:
        """Keep a result that other work gave as a by-product."""
        self._results[key] = result
