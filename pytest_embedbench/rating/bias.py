"""How much it mattered which list the judge saw first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_embedbench.rating.judgments import Judgment, Outcome, Side
from pytest_embedbench.rating.ratings import PositionBias


def position_bias(judgments: Iterable[Judgment]) -> PositionBias | None:
    """Position bias of the judges, or None where no order is known; none may compare a model with itself.

    A question is one judge's on one query and two models. It was asked in both orders by the trials of one judgment,
    or by two judgments that differ in ``first_shown``; of several in one order the first is taken.
    """
    questions: dict[tuple[str, ...], dict[str, str]] = {}
    decided = won_by_first = 0
    for judgment in judgments:
        pair = sorted((judgment.model_a, judgment.model_b))
        sides = {"a": judgment.model_a, "b": judgment.model_b, "tie": ""}
        for first_shown, outcome in _shown(judgment):
            decided += outcome != "tie"
            won_by_first += outcome == first_shown
            question = questions.setdefault((judgment.judge, judgment.dataset, judgment.query_id, *pair), {})
            question.setdefault(sides[first_shown], sides[outcome])
    if not questions:
        return None
    both = [tuple(winners.values()) for winners in questions.values() if len(winners) > 1]
    return PositionBias(
        questions=len(both),
        agree=sum(one == other for one, other in both) / len(both) if both else None,
        flip=sum(one != other and bool(one and other) for one, other in both) / len(both) if both else None,
        first_wins=won_by_first / decided if decided else None,
    )


def _shown(judgment: Judgment) -> Iterator[tuple[Side, Outcome]]:
    if judgment.trials:
        yield from ((trial.first_shown, trial.outcome) for trial in judgment.trials)
    elif judgment.first_shown:
        yield judgment.first_shown, judgment.outcome
