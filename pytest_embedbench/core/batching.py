"""What to encode in which order: distinct texts only, batches under a token budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence


def distinct(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """The distinct texts in order of first appearance, and for each input text the index of its own."""
    place: dict[str, int] = {}
    indices = [place.setdefault(text, len(place)) for text in texts]
    return list(place), indices


def batches(lengths: Sequence[int], budget: Callable[[], int], most: int | None = None) -> Iterator[list[int]]:
    """Indices in batches of at most ``budget()`` tokens, padding included, and ``most`` texts; a longer text is alone.

    Longest first: neighbours are of like length, so that padding is small, and what does not fit into memory
    shows at once rather than at the end. The budget is asked for anew for every batch.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    start = 0
    while start < len(order):
        room = max(1, min(budget() // max(1, lengths[order[start]]), most or len(order)))
        yield order[start : start + room]
        start += room
