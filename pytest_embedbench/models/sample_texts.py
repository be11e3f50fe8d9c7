"""Sample texts whose vectors show whether a model that cannot be inspected is still the same one."""

from __future__ import annotations

SAMPLE_TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "query: où est la bibliothèque? 図書館はどこですか",
    " ".join(f"{number} bottles of ink stand on shelf {number % 7}." for number in range(60)),
)
"""Texts in several languages, one with a prompt; the last is long enough to show where the model cuts texts."""

UNIT_LENGTH_TOLERANCE = 1e-3
"""Largest difference from 1 of a vector's length that counts as normalized; a server may compute in 16 bits."""
