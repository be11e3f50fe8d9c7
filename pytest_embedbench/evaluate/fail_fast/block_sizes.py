"""Sizes of the blocks after which the bounds are computed and the order may be planned anew.

Small blocks keep the order of the prices; large ones are padded less, since a batch gathers texts of similar length
from its block only. The bound usually falls ever more slowly. A straight line through its last two values therefore
estimates how many documents a proof needs at least, and that many come next. If they are a large part of the rest, a
proof is unlikely or would save little, and the whole rest comes as one block, as in a run without bounds.
"""

from __future__ import annotations

SMALLEST_SHARE = 0.02
"""Share of the corpus; size of the first and of the smallest block."""

EARLIEST_REST = 0.2
"""Share of the corpus; once this much is seen, the rest may come as one block."""

MAX_NEEDED = 0.15
"""Share of the rest; if the straight line says that a proof needs more, the rest comes at once.

The line estimates too little, so a proof would need even more than that.
"""

LATEST_REST = 0.5
"""Share of the corpus; once this much is seen, the rest always comes as one block."""

BLOCK_BATCHES = 24
"""Batches in a block, so that the texts of each have similar lengths."""

MIN_BATCH_TOKENS = 512
"""Tokens; smallest budget of a batch, even if the block then has fewer batches."""


class BlockSizes:
    """Sizes of the blocks in which a corpus of ``documents`` is handed out."""

    def __init__(self, documents: int) -> None:
        self._documents = documents
        self._smallest = max(1, round(SMALLEST_SHARE * documents))
        self._marks: list[tuple[int, float]] = []

    def size(self, seen: int, gap: float) -> int:
        """Return the number of documents to encode next, at least one.

        Args:
            seen: documents seen so far.
            gap: distance of the bound above its limit now.
        """
        left = self._documents - seen
        self._marks.append((seen, gap))
        # A slope needs two marks.
        if len(self._marks) == 1:
            return self._smallest
        (seen_before, gap_before), _ = self._marks[-2:]
        # Slope of the bound, per document of the last block.
        fall = (gap_before - gap) / max(1, seen - seen_before)
        needed = gap / fall if fall > 0 else float("inf")
        share = seen / self._documents
        if share >= LATEST_REST or (share >= EARLIEST_REST and needed > MAX_NEEDED * left):
            return max(1, left)
        # At most as many as seen so far: the slope may change.
        return int(min(max(needed, self._smallest), max(seen, self._smallest)))


def batch_budget(block_tokens: int, most: int) -> int:
    """Return the token budget of a batch within a block of this many tokens; ``most`` is the device's budget."""
    return min(most, max(MIN_BATCH_TOKENS, block_tokens // BLOCK_BATCHES))
