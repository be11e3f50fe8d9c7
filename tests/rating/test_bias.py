"""Which list was shown first, and whether it mattered."""

from __future__ import annotations

import msgspec
import pytest

from pytest_embedbench.rating.bias import position_bias
from pytest_embedbench.rating.judgments import JudgedSide, JudgeTrial, Judgment, Preference
from pytest_embedbench.rating.rate import rate
from pytest_embedbench.rating.ratings import PositionBias


def asked(query: str, first: JudgedSide, outcome: Preference, a: str = "x", b: str = "y", judge: str = "") -> Judgment:
    return Judgment(dataset="d", query_id=query, model_a=a, model_b=b, outcome=outcome, first_shown=first, judge=judge)


def tried(query: str, *trials: tuple[JudgedSide, Preference]) -> Judgment:
    made = tuple(JudgeTrial(first_shown=first, outcome=outcome) for first, outcome in trials)
    return Judgment(dataset="d", query_id=query, model_a="x", model_b="y", outcome="tie", trials=made)


def test_questions_asked_twice_in_reversed_order() -> None:
    judgments = [
        asked("same", "a", "a"), asked("same", "b", "a"),
        asked("flip", "a", "a"), asked("flip", "b", "b"),
        asked("half", "a", "tie"), asked("half", "b", "b"),
        asked("both tied", "a", "tie"), asked("both tied", "b", "tie"),
    ]  # fmt: skip
    assert position_bias(judgments) == PositionBias(questions=4, agree=0.5, flip=0.25, first_wins=4 / 5)


def test_which_model_is_called_a_does_not_matter() -> None:
    # x is first and wins; then y is first, as a, and x wins: they agree.
    same = position_bias([asked("q", "a", "a"), asked("q", "a", "b", a="y", b="x")])
    assert same == PositionBias(questions=1, agree=1, flip=0, first_wins=0.5)
    # The same order under other names is no second order.
    again = position_bias([asked("q", "a", "a"), asked("q", "b", "b", a="y", b="x")])
    assert again == PositionBias(questions=0, agree=None, flip=None, first_wins=1)


def test_both_trials_of_a_judgment_count_and_its_outcome_does_not() -> None:
    judgments = [tried("1", ("a", "a"), ("b", "b")), tried("2", ("b", "a"), ("a", "a")), tried("3", ("a", "b"))]
    assert position_bias(judgments) == PositionBias(questions=2, agree=0.5, flip=0.5, first_wins=3 / 5)


def test_two_judges_are_not_one_that_changed_its_mind() -> None:
    found = position_bias([asked("q", "a", "a", judge="one"), asked("q", "b", "b", judge="two")])
    assert found == PositionBias(questions=0, agree=None, flip=None, first_wins=1)


def test_of_several_answers_in_one_order_the_first_is_taken() -> None:
    found = position_bias([asked("q", "a", "a"), asked("q", "a", "b"), asked("q", "b", "a")])
    assert found == PositionBias(questions=1, agree=1, flip=0, first_wins=1 / 3)


def test_ties_alone_decide_nothing() -> None:
    assert position_bias([asked("q", "a", "tie")]) == PositionBias(questions=0, agree=None, flip=None, first_wins=None)


def test_where_no_order_is_known_there_is_nothing_to_say() -> None:
    unknown = Judgment(dataset="d", query_id="q", model_a="x", model_b="y", outcome="a")
    assert position_bias([unknown]) is None
    assert rate([unknown]).position_bias is None


def test_ratings_carry_it_with_excluded_models_and_without_those_against_themselves() -> None:
    judgments = [asked("q", "a", "a"), asked("q", "b", "b", b="z"), asked("r", "a", "b", a="x", b="x")]
    found = rate(judgments, exclude=["z"]).position_bias
    assert found == PositionBias(questions=0, agree=None, flip=None, first_wins=1)
    assert msgspec.json.decode(msgspec.json.encode(found), type=PositionBias) == found


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_the_judgments_does_not_matter(order: int) -> None:
    judgments = [asked("flip", "a", "a"), asked("flip", "b", "b"), asked("same", "b", "b"), asked("same", "a", "b")]
    assert position_bias(judgments[::order]) == PositionBias(questions=2, agree=0.5, flip=0.5, first_wins=0.75)
