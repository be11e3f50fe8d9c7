"""Measure the judges' position bias: how much it mattered which list was shown first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_embedbench.rating.judgments import JudgedSide, Judgment, Preference
from pytest_embedbench.rating.ratings import PositionBias


def position_bias(judgments: Iterable[Judgment]) -> PositionBias | None:
    """Return the position bias of the judges; None if no judgment states in which order the lists were shown.

    A question is one judge, one query and two models. It was asked in both orders if one judgment has trials in both,
    or if two of its judgments differ in ``first_shown``. If it was asked in one order more than once, the first answer
    counts.

    Args:
        judgments: of two different models each.
    """
    questions: dict[tuple[str, ...], dict[str, str]] = {}
    decided = won_by_first = 0
    for judgment in judgments:
        pair = sorted((judgment.model_a, judgment.model_b))
        sides = {"a": judgment.model_a, "b": judgment.model_b, "tie": ""}
        for first_shown, outcome in _answers(judgment):
            decided += outcome != "tie"
            won_by_first += outcome == first_shown
            # Models in the order of names, so that a judgment with a and b swapped is the same question.
            question = questions.setdefault((judgment.judge, judgment.dataset, judgment.query_id, *pair), {})
            question.setdefault(sides[first_shown], sides[outcome])
    if not questions:
        return None
    # A tie has the winner "", so a verdict that changes between a tie and a winner disagrees but does not flip.
    both = [tuple(winners.values()) for winners in questions.values() if len(winners) > 1]
    return PositionBias(
        questions=len(both),
        agree=sum(winner == other for winner, other in both) / len(both) if both else None,
        flip=sum(winner != other and bool(winner and other) for winner, other in both) / len(both) if both else None,
        first_wins=won_by_first / decided if decided else None,
    )


def _answers(judgment: Judgment) -> Iterator[tuple[JudgedSide, Preference]]:
    """Yield the side that was shown first and the outcome, for each order in which the question was asked."""
    if judgment.trials:
        yield from ((trial.first_shown, trial.outcome) for trial in judgment.trials)
    elif judgment.first_shown:
        yield judgment.first_shown, judgment.outcome
