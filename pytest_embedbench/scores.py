"""A score that a Python test can compare like a number, and that explains itself when the comparison fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self


class Score(float):
    """A mean, e.g. of ndcg@10; ``explain()`` gives lines that say which queries scored lowest."""

    measure: str
    explain: Callable[[], list[str]]

    def __new__(cls, value: float, measure: str, explain: Callable[[], list[str]]) -> Self:
        score = super().__new__(cls, value)
        score.measure, score.explain = measure, explain
        return score

    def __repr__(self) -> str:
        return f"{float(self):.4f}"


def explain_comparison(op: str, left: Score, right: object) -> list[str]:
    """Lines for a failed ``assert left op right``."""
    return [f"{left.measure} {float(left):.4f} {op} {right}", *left.explain()]
