"""Ratings of models from judgments of pairs."""

from __future__ import annotations

from typing import Literal

import msgspec

Method = Literal["bradley-terry", "davidson", "elo"]
METHODS: tuple[Method, ...] = ("bradley-terry", "davidson", "elo")
RATINGS = "ratings.json"


class Rating(msgspec.Struct, frozen=True, kw_only=True):
    """A model's place: Elo scale with its interval, ranks that the interval leaves possible, its record."""

    model: str
    elo: float
    lo: float | None
    """Lower end of the interval; None, with every rank possible, where there is none: one query alone, online Elo."""
    hi: float | None
    rank_lo: int
    rank_hi: int
    wins: int
    losses: int
    ties: int

    @property
    def win_rate(self) -> float:
        """Share of judgments won; a tie is none."""
        return self.wins / (self.wins + self.losses + self.ties)


class PositionBias(msgspec.Struct, frozen=True, kw_only=True):
    """How much the order in which lists were shown decided: over questions asked in both orders."""

    questions: int
    agree: float | None
    """Share with the same verdict in both orders; None where no question was asked in both."""
    flip: float | None
    """Share whose winner changed with the order."""
    first_wins: float | None
    """Share of all decided verdicts that went to the list shown first; 0.5 is unbiased. None where none was decided."""


class Ratings(msgspec.Struct, frozen=True, kw_only=True):
    """What ``ratings.json`` holds. Lists are sorted by Elo, best first."""

    overall: list[Rating]
    by_dataset: dict[str, list[Rating]] = {}
    method: Method = "bradley-terry"
    confidence: float = 0.95
    rounds: int = 1000
    seed: int = 0
    judgments: int = 0
    """Judgments that count: those of excluded models and of a model with itself do not."""
    queries: int = 0
    """Distinct queries among them. Intervals are as wide as these are few, however many judgments there are."""
    excluded: list[str] = []
    judges: list[str] = []
    position_bias: PositionBias | None = None
    notes: list[str] = []
    """What a reader must know: repeated or odd judgments, datasets left out, ratings without a finite value."""


def rank_text(rating: Rating) -> str:
    """The ranks that a model may have: ``3-6``, or ``4`` where there is one."""
    return str(rating.rank_lo) if rating.rank_lo == rating.rank_hi else f"{rating.rank_lo}-{rating.rank_hi}"
