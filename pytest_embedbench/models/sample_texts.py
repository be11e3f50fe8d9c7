"""Sample texts whose vectors show whether a model that cannot be inspected is still the same one."""

from __future__ import annotations

SAMPLE_TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "query: où est la bibliothèque? 図書館はどこですか",
    " ".join(f"{number} bottles of ink stand on shelf {number % 7}." for number in range(40)),
)
"""Texts in several languages, one with a prompt; the last shows whether the model cuts texts early. Many servers refuse
more than 512 tokens, so it stays well below that in any vocabulary of words (360 of BERT's)."""

ORDINARY_WORDS = (
    "the",
    "old",
    "man",
    "went",
    "down",
    "to",
    "the",
    "sea",
    "and",
    "saw",
    "a",
    "ship",
    "with",
    "red",
    "sails",
)
"""Words of a text that no server has a reason to refuse, but for its length."""

UNIT_LENGTH_TOLERANCE = 1e-3
"""Largest difference from 1 of a vector's length that counts as normalized; a server may compute in 16 bits."""
