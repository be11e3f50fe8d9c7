"""Plan the batches of the encode loop: each distinct text once, batches under a token budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence


def distinct(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """Return the distinct texts in order of first appearance, and for each input text the index of its distinct text.

    ``[distinct_texts[index] for index in indices]`` gives the input again.
    """
    index_of: dict[str, int] = {}
    indices = [index_of.setdefault(text, len(index_of)) for text in texts]
    return list(index_of), indices


def batches(lengths: Sequence[int], budget: Callable[[], int], max_texts: int | None = None) -> Iterator[list[int]]:
    """Yield batches of text indices, longest texts first; every text is in exactly one batch.

    Neighbours in this order have similar lengths, so that little is padded. And a batch that does not fit into memory
    comes at the start of a run, not at its end.

    Args:
        lengths: tokens of each text.
        budget: returns the tokens that a batch may have, padding included. It is called before every batch, since a
            caller lowers the budget when memory runs out. A text longer than the budget is a batch of its own.
        max_texts: texts that a batch may have; None for any number.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    start = 0
    while start < len(order):
        # The first text of a batch is its longest: every other one is padded to that length.
        longest = max(1, lengths[order[start]])
        size = max(1, min(budget() // longest, max_texts or len(order)))
        yield order[start : start + size]
        start += size
