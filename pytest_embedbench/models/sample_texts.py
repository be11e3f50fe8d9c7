"""Texts whose vectors show whether a model that nobody here can look into is the one that it was."""

from __future__ import annotations

PROBE = (
    "The quick brown fox jumps over the lazy dog.",
    "query: où est la bibliothèque? 図書館はどこですか",
    " ".join(f"{number} bottles of ink stand on shelf {number % 7}." for number in range(60)),
)
"""The last text shows where the model cuts."""

UNIT = 1e-3
"""How far from 1 the length of a vector may be that counts as normalized; a server may compute in 16 bits."""
