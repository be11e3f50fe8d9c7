"""Rate by online Elo: one pass over the judgments in their order, for comparison with boards that do so.

Unlike the maximum of a likelihood, the result depends on the order of the judgments: on one published board the order
alone moved a model by 16 points.
"""

from __future__ import annotations

from collections.abc import Iterable

from pytest_embedbench.rating.judgments import Judgment

MEAN_ELO = 1500.0
"""Elo points; the start of online Elo, and the mean of all rated models."""
ELO_PER_TENFOLD_ODDS = 400.0
"""Elo points between two models whose odds are ten to one."""
MAX_CHANGE = 32.0
"""Elo points; the most by which one judgment can move a model, the "K factor"."""

_SCORES = {"a": 1.0, "b": 0.0, "tie": 0.5}


def online_elo(judgments: Iterable[Judgment]) -> dict[str, float]:
    """Return the Elo of each model (Elo 1978).

    R += 32 (score - expected), where expected = 1 / (1 + 10^((R_b - R_a) / 400)).
    """
    elo: dict[str, float] = {}
    for judgment in judgments:
        a, b = elo.setdefault(judgment.model_a, MEAN_ELO), elo.setdefault(judgment.model_b, MEAN_ELO)
        expected = 1 / (1 + 10 ** ((b - a) / ELO_PER_TENFOLD_ODDS))
        change = MAX_CHANGE * (_SCORES[judgment.outcome] - expected)
        elo[judgment.model_a], elo[judgment.model_b] = a + change, b - change
    return elo
