"""What to encode in which order: distinct texts only, batches under a token budget."""

from __future__ import annotations

from collections.abc import Sequence


def distinct(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """The distinct texts in order of first appearance, and for each input text the index of its own."""
    place: dict[str, int] = {}
    indices = [place.setdefault(text, len(place)) for text in texts]
    return list(place), indices


def batches(lengths: Sequence[int], budget: int, most: int | None = None) -> list[list[int]]:
    """Indices in batches of at most ``budget`` tokens, padding included, and ``most`` texts; a longer text is alone.

    Longest first: neighbours are of like length, so that padding is small, and what does not fit into memory
    shows at once rather than at the end.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    planned: list[list[int]] = []
    room = 0
    for index in order:
        if not planned or len(planned[-1]) >= room:
            planned.append([])
            room = max(1, min(budget // max(1, lengths[index]), most or len(lengths)))
        planned[-1].append(index)
    return planned
