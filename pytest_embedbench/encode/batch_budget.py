"""Token budget of a batch: chosen by the user, remembered, or tuned while encoding; reduced where memory is short."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence

DEFAULT_BATCH_TOKENS = {"cpu": 4096, "cuda": 65536, "mps": 16384}
"""Tokens, by kind of device; the budget where the user chose none and none is remembered."""

CANDIDATE_BATCH_TOKENS = {
    "cpu": (1024, 2048, 4096, 8192),
    "cuda": (16384, 32768, 65536, 131072),
    "mps": (4096, 8192, 16384, 32768),
}
"""Tokens, by kind of device; the budgets that tuning tries, smallest first."""

TIE_SHARE = 0.02
"""Share; a smaller budget, which takes less memory, is preferred if the fastest is faster by no more than this."""

MIN_WORK_FACTOR = 3
"""Skip tuning unless the corpus is at least this many times larger than the trial, in tokens."""


class Budget:
    """Token budget of a model's batches, padding included, with its tuning.

    Candidates are tried on real batches, whose vectors are used like any others: each candidate in turn, for as many
    tokens as the largest holds, then all again in reverse order. Batches come longest first, so that their rate drifts;
    the reversed turns cancel this drift.

    Args:
        tokens: the budget to begin with.
        candidates: budgets to try, smallest first; none by default.
        learned: called with the new budget, once when tuning has chosen it, and whenever memory did not suffice.
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
        """Begin tuning if the work ahead, in tokens, is large enough for it."""
        if not self._candidates or self._awaited:
            return
        largest = self._candidates[-1]
        mirrored = [*self._candidates, *reversed(self._candidates)]
        if tokens >= MIN_WORK_FACTOR * largest * len(mirrored):
            # More turns for smaller budgets, so that each candidate is tried on as many tokens.
            self._turns = deque(budget for budget in mirrored for _ in range(largest // budget))
            self._awaited = len(self._turns)

    def draw(self) -> int:
        """Return the budget of the next batch."""
        with self._lock:
            return self._turns.popleft() if self._turns else self.tokens

    def record(self, budget: int, tokens: int, seconds: float) -> None:
        """Record the tokens and seconds of a batch that was drawn under this budget."""
        with self._lock:
            # No tuning is going on, or a lack of memory ended it while this batch ran.
            if not self._awaited:
                return
            self._tokens[budget] += tokens
            self._seconds[budget] += seconds
            self._awaited -= 1
            if not self._awaited:
                self._choose_fastest()

    def _choose_fastest(self) -> None:
        rates = {budget: self._tokens[budget] / self._seconds[budget] for budget in self._candidates}
        best = max(rates.values())
        self._choose(next(budget for budget in self._candidates if rates[budget] * (1 + TIE_SHARE) >= best))

    def exceeded(self, tokens: int) -> None:
        """Reduce the budget to half of a batch that did not fit into memory, and end the tuning."""
        with self._lock:
            self._candidates, self._awaited = (), 0
            self._turns.clear()
            if (half := max(1, tokens // 2)) < self.tokens:
                self._choose(half)

    def _choose(self, tokens: int) -> None:
        self.tokens, self._candidates = tokens, ()
        self._learned(tokens)
