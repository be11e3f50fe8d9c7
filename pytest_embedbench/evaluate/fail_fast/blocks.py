"""How much to encode before the order is planned anew.

Small blocks keep the order of the prices; large ones are padded less, since texts are batched with others of like
length from their block only. The bound falls ever more slowly, as a rule, so drawing its last fall on as a straight
line says how many documents are needed at least: that many come next. Where that is much of what is left, a proof is
unlikely or would save little, and all of it comes at once, as in a run without bounds.
"""

from __future__ import annotations

FIRST = 0.02
"""Share of the corpus in the first and in the smallest block."""

HOPE, ENOUGH, REST = 0.2, 0.15, 0.5
"""After a share ``HOPE`` of the corpus, take all the rest where a proof needs more than ``ENOUGH`` of it by the
straight line, which says too little; after ``REST`` in any case."""

BATCHES, SMALLEST_BATCH = 24, 512
"""Batches wanted in a block, for like lengths in each, and the tokens that a batch should have all the same."""


class Blocks:
    """Sizes of the blocks in which a corpus of ``documents`` is handed out."""

    def __init__(self, documents: int) -> None:
        self._documents = documents
        self._smallest = max(1, round(FIRST * documents))
        self._marks: list[tuple[int, float]] = []

    def size(self, seen: int, gap: float) -> int:
        """Documents to encode next, at least one.

        Args:
            seen: documents seen so far.
            gap: how far the bound is above its limit now.
        """
        left = self._documents - seen
        self._marks.append((seen, gap))
        if len(self._marks) == 1:
            return self._smallest
        (seen_before, gap_before), _ = self._marks[-2:]
        fall = (gap_before - gap) / max(1, seen - seen_before)
        needed = gap / fall if fall > 0 else float("inf")
        share = seen / self._documents
        if share >= REST or (share >= HOPE and needed > ENOUGH * left):
            return max(1, left)
        return int(min(max(needed, self._smallest), max(seen, self._smallest)))


def batch_budget(block_tokens: int, most: int) -> int:
    """Token budget of a batch within a block of so many tokens, at most the device's."""
    return min(most, max(SMALLEST_BATCH, block_tokens // BATCHES))
