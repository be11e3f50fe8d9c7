"""Ratings of models from judgments of pairs."""

from __future__ import annotations

import msgspec


class Rating(msgspec.Struct, frozen=True, kw_only=True):
    """A model's place: Elo scale with its interval, ranks that the interval leaves possible, its record."""

    model: str
    elo: float
    lo: float
    hi: float
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
    agree: float
    """Share with the same verdict in both orders."""
    flip: float
    """Share whose winner changed with the order."""
    first_wins: float
    """Share of all decided verdicts that went to the list shown first; 0.5 is unbiased."""


class Ratings(msgspec.Struct, frozen=True, kw_only=True):
    """What ``ratings.json`` holds. Lists are sorted by Elo, best first."""

    overall: list[Rating]
    by_dataset: dict[str, list[Rating]] = {}
    method: str = "bradley-terry"
    confidence: float = 0.95
    rounds: int = 1000
    seed: int = 0
    judgments: int = 0
    queries: int = 0
    excluded: list[str] = []
    judges: list[str] = []
    position_bias: PositionBias | None = None
    notes: list[str] = []
    """What a reader must know: repeated or odd judgments, datasets left out, ratings without a finite value."""
