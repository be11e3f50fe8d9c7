"""Ratings of models, as stored in ``ratings.json``."""

from __future__ import annotations

from typing import Literal

import msgspec

Method = Literal["bradley-terry", "davidson", "elo"]
METHODS: tuple[Method, ...] = ("bradley-terry", "davidson", "elo")
RATINGS_FILE = "ratings.json"


class Rating(msgspec.Struct, frozen=True, kw_only=True):
    """One model: its Elo with an interval, its possible ranks, and its wins, losses and ties."""

    model: str
    elo: float
    lo: float | None
    """Lower end of the interval; None for a single query and for online Elo, where every rank is possible."""
    hi: float | None
    rank_lo: int
    rank_hi: int
    wins: int
    losses: int
    ties: int

    @property
    def judgments(self) -> int:
        """The number of judgments of this model."""
        return self.wins + self.losses + self.ties

    @property
    def win_rate(self) -> float:
        """The share of judgments won; a tie is not a win."""
        return self.wins / self.judgments


class PositionBias(msgspec.Struct, frozen=True, kw_only=True):
    """Effect of the order in which the lists were shown, over ``questions`` that were asked in both orders."""

    questions: int
    agree: float | None
    """Share with the same verdict in both orders; None if no question was asked in both."""
    flip: float | None
    """Share whose winner changed to the other model with the order."""
    first_wins: float | None
    """Share of all verdicts other than ties that went to the list shown first; 0.5 is unbiased. None if all tied."""


class Ratings(msgspec.Struct, frozen=True, kw_only=True):
    """The content of ``ratings.json``. Lists are sorted by Elo, best first."""

    overall: list[Rating]
    by_dataset: dict[str, list[Rating]] = {}
    method: Method = "bradley-terry"
    confidence: float = 0.95
    rounds: int = 1000
    seed: int = 0
    judgments: int = 0
    """Number of judgments that count; those of excluded models, or of a model with itself, do not."""
    queries: int = 0
    """Number of distinct queries among them. Few queries give wide intervals, however many judgments there are."""
    excluded: list[str] = []
    judges: list[str] = []
    position_bias: PositionBias | None = None
    notes: list[str] = []
    """Remarks for the reader: repeated or odd judgments, datasets left out, ratings without a finite value."""


def rank_text(rating: Rating) -> str:
    """Return the ranks that a model may have: ``3-6``, or ``4`` if only one is possible."""
    return str(rating.rank_lo) if rating.rank_lo == rating.rank_hi else f"{rating.rank_lo}-{rating.rank_hi}"
