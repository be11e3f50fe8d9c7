"""Places, shared means and the Pareto front."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.reports.leaderboard.numbers import means_over, pareto, shared_by_all, standings

points = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=2),
    # few distinct values, so that ties and equal points are common
    st.tuples(st.integers(0, 4).map(float), st.integers(0, 4).map(float)),
    max_size=12,
)


def test_places_count_from_the_best_and_only_those_that_have_a_number() -> None:
    found = standings({"a": 2.0, "b": 3.0, "c": 2.0, "d": 1.0, "e": math.inf, "f": math.nan})
    assert {name: (one.rank, one.of) for name, one in found.items()} == {
        "b": (1, 4),
        "a": (2, 4),
        "c": (2, 4),
        "d": (4, 4),
    }


def test_low_is_best_for_latencies() -> None:
    assert {name: one.rank for name, one in standings({"a": 2.0, "b": 1.0}, low_is_best=True).items()} == {
        "a": 2,
        "b": 1,
    }


def test_shared_datasets_are_those_of_every_model_that_has_any() -> None:
    values = {"a": {"x": 0.1, "y": 0.3, "z": 0.8}, "b": {"y": 0.5, "z": 0.7}, "judged only": dict[str, float]()}
    assert shared_by_all(values) == ("y", "z")
    assert means_over(values, ("y", "z")) == {"a": pytest.approx(0.55), "b": pytest.approx(0.6)}


def test_no_shared_dataset_gives_no_mean() -> None:
    values = {"a": {"x": 0.1}, "b": {"y": 0.5}}
    assert shared_by_all(values) == ()
    assert means_over(values, ()) == {}
    assert shared_by_all({}) == ()


@given(points)
def test_the_front_holds_what_nothing_beats(by_name: dict[str, tuple[float, float]]) -> None:
    front = pareto(by_name)
    assert bool(front) == bool(by_name)
    for name, (quality, latency) in by_name.items():
        better = [
            other for other, (q, t) in by_name.items() if q >= quality and t <= latency and (q, t) != (quality, latency)
        ]
        assert (name in front) == (not better)
        # whatever is off the front is beaten by something on it
        assert name in front or front & set(better)


@given(points)
def test_better_on_the_front_is_slower(by_name: dict[str, tuple[float, float]]) -> None:
    front = sorted({by_name[name] for name in pareto(by_name)}, key=lambda point: point[1])
    assert [quality for quality, _ in front] == sorted({quality for quality, _ in front})
