"""How many tokens a batch may hold: chosen by the user, remembered, or found while encoding; less where memory ends."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence

DEFAULT_BATCH_TOKENS = {"cpu": 4096, "cuda": 65536, "mps": 16384}
"""Tokens by kind of device, where nothing else is known."""

CANDIDATE_BATCH_TOKENS = {
    "cpu": (1024, 2048, 4096, 8192),
    "cuda": (16384, 32768, 65536, 131072),
    "mps": (4096, 8192, 16384, 32768),
}
"""What is tried, smallest first."""

TIE_SHARE = 0.02
"""A smaller budget is preferred to one that is faster by no more than this share: it takes less memory."""

MIN_WORK_FACTOR = 3
"""Work must be so many times what trying takes, in tokens; otherwise nothing is tried."""


class Budget:
    """The token budget of a model's batches, padding included.

    ``candidates`` are tried on real batches, whose vectors are used like any others': each in turn, for as many tokens
    as the largest holds, then again in reverse order. Batches come longest first, so that their rate drifts, and turns
    that mirror each other cancel the drift. ``learned`` is called once, with what was chosen, or whenever memory did
    not suffice, with what is left.
    """

    def __init__(
        self, tokens: int, candidates: Sequence[int] = (), learned: Callable[[int], None] = lambda _: None
    ) -> None:
        self.tokens = tokens
        self._candidates, self._learned = tuple(candidates), learned
        self._lock = threading.Lock()
        self._turns: deque[int] = deque()
        self._awaited = 0
        self._tokens: Counter[int] = Counter()
        self._seconds: dict[int, float] = dict.fromkeys(candidates, 0.0)

    def expect(self, tokens: int) -> None:
        """Say how much work there is: candidates are tried where it is enough."""
        if not self._candidates or self._awaited:
            return
        largest = self._candidates[-1]
        mirrored = [*self._candidates, *reversed(self._candidates)]
        if tokens >= MIN_WORK_FACTOR * largest * len(mirrored):
            self._turns = deque(budget for budget in mirrored for _ in range(largest // budget))
            self._awaited = len(self._turns)

    def draw(self) -> int:
        """The budget of the next batch."""
        with self._lock:
            return self._turns.popleft() if self._turns else self.tokens

    def took(self, budget: int, tokens: int, seconds: float) -> None:
        """Report that a batch drawn under this budget held so many tokens and took so long."""
        with self._lock:
            if not self._awaited:
                return
            self._tokens[budget] += tokens
            self._seconds[budget] += seconds
            self._awaited -= 1
            if not self._awaited:
                self._settle()

    def _settle(self) -> None:
        rates = {budget: self._tokens[budget] / self._seconds[budget] for budget in self._candidates}
        best = max(rates.values())
        self._choose(next(budget for budget in self._candidates if rates[budget] * (1 + TIE_SHARE) >= best))

    def exceeded(self, tokens: int) -> None:
        """Report that a batch of so many tokens did not fit into memory: from now on batches are half of it at most."""
        with self._lock:
            self._candidates, self._awaited = (), 0
            self._turns.clear()
            if (half := max(1, tokens // 2)) < self.tokens:
                self._choose(half)

    def _choose(self, tokens: int) -> None:
        self.tokens, self._candidates = tokens, ()
        self._learned(tokens)
