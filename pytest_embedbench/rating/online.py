"""Online Elo: one pass over the judgments in their order, for comparison with boards that rate so.

Its result depends on that order, as a likelihood's maximum does not: on one published board the order alone moved a
model by 16 points.
"""

from __future__ import annotations

from collections.abc import Iterable

from pytest_embedbench.rating.judgments import Judgment

START = 1500.0
SCALE = 400.0
"""Points by which odds of ten to one lie apart."""
K = 32.0

_SCORES = {"a": 1.0, "b": 0.0, "tie": 0.5}


def online_elo(judgments: Iterable[Judgment]) -> dict[str, float]:
    """Elo of each model: R += 32 (score - expected), expected = 1 / (1 + 10^((R_b - R_a) / 400)) (Elo 1978)."""
    elo: dict[str, float] = {}
    for judgment in judgments:
        a, b = elo.setdefault(judgment.model_a, START), elo.setdefault(judgment.model_b, START)
        change = K * (_SCORES[judgment.outcome] - 1 / (1 + 10 ** ((b - a) / SCALE)))
        elo[judgment.model_a], elo[judgment.model_b] = a + change, b - change
    return elo
