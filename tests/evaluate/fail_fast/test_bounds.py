"""Upper bounds against the best of all interleavings, tried one by one and scored by trec_eval."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_embedbench.core.measures import Measure
from pytest_embedbench.core.runs import Run
from pytest_embedbench.evaluate.fail_fast.bounds import KnownGains, upper_bounds
from pytest_embedbench.evaluate.metrics import score

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FAMILIES = ["ndcg", "map", "mrr", "recall", "precision"]

measures = st.builds(Measure, st.sampled_from(FAMILIES), st.integers(1, 7))


def interleavings(seen: Sequence[str], unseen: Sequence[str]) -> Iterator[list[str]]:
    """Each way to put ``unseen`` in any order into any places of ``seen``, which keeps its order."""
    length = len(seen) + len(unseen)
    for places in combinations(range(length), len(unseen)):
        for order in permutations(unseen):
            given_places = dict(zip(places, order, strict=True))
            kept = iter(seen)
            yield [given_places[place] if place in given_places else next(kept) for place in range(length)]


def value(measure: Measure, ranking: Sequence[str], judged: dict[str, int]) -> float:
    run = Run({"q": [(doc, float(-rank)) for rank, doc in enumerate(ranking)]})
    return score(run, {"q": judged}, ["q"], [measure])[str(measure)]["q"]


def row(grades: Sequence[int]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.array([grades], dtype=np.int64).reshape(1, -1)


def known(seen: Sequence[int], unseen: Sequence[int], lost: Sequence[int] = ()) -> KnownGains:
    """One query: gains seen, in order, those not seen, and those of judged documents that are nowhere."""
    judged = sorted((grade for grade in [*seen, *unseen, *lost] if grade > 0), reverse=True)
    return KnownGains(row(seen), row(sorted(unseen, reverse=True)), row(judged), np.array([len(judged)]))


@settings(deadline=None)
@given(
    seen=st.lists(st.integers(0, 3), max_size=4),
    unseen=st.lists(st.integers(0, 3), max_size=3),
    lost=st.lists(st.integers(1, 3), max_size=2),
    measure=measures,
)
def test_the_bound_is_the_best_of_all_interleavings(
    seen: list[int], unseen: list[int], lost: list[int], measure: Measure
) -> None:
    docs = {f"s{n}": grade for n, grade in enumerate(seen)} | {f"u{n}": grade for n, grade in enumerate(unseen)}
    judged = docs | {f"l{n}": grade for n, grade in enumerate(lost)}
    if not any(judged.values()):
        judged["l"] = 1
        lost = [1]
    tried = interleavings([f"s{n}" for n in range(len(seen))], [f"u{n}" for n in range(len(unseen))])
    best = max(value(measure, ranking, judged) for ranking in tried)
    found = upper_bounds(measure, known(seen, [grade for grade in unseen if grade], lost))
    assert found == pytest.approx([best], abs=1e-12)


def test_unseen_first_is_no_bound_where_grades_differ() -> None:
    """Seen: grade 3; unseen: grade 1. As it stands the ranking can become ideal; with the unseen one in front it cannot."""
    judged = {"s": 3, "u": 1}
    unseen_first = value(Measure("ndcg", 10), ["u", "s"], judged)
    assert unseen_first == pytest.approx((1 + 3 / np.log2(3)) / (3 + 1 / np.log2(3)))
    assert upper_bounds(Measure("ndcg", 10), known([3], [1])) == pytest.approx([1.0])
    assert unseen_first < 0.8


def test_the_best_interleaving_may_be_neither_first_nor_last() -> None:
    """A good document seen first, then noise: the unseen one belongs between them."""
    judged = {"a": 3, "c": 2, "u": 1}
    rankings = {tuple(ranking): value(Measure("ndcg", 4), ranking, judged) for ranking in interleavings("abc", ["u"])}
    best = max(rankings, key=lambda ranking: rankings[ranking])
    assert best == ("a", "u", "b", "c")
    assert upper_bounds(Measure("ndcg", 4), known([3, 0, 2], [1])) == pytest.approx([rankings[best]])


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 2), max_size=4), st.lists(st.integers(1, 2), max_size=4)), min_size=1),
    measures,
)
def test_queries_are_bounded_each_by_itself(cases: list[tuple[list[int], list[int]]], measure: Measure) -> None:
    """Rows of a table are padded with zeros, which must not count."""
    width = 5
    alone = [known(seen, unseen, [1]) for seen, unseen in cases]

    def stacked(column: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        tables = [one[column] for one in alone]
        return np.concatenate([np.pad(table, ((0, 0), (0, 2 * width - table.shape[1]))) for table in tables])

    relevant = np.concatenate([one.relevant for one in alone])
    together = KnownGains(stacked(0), stacked(1), stacked(2), relevant)
    expected = np.concatenate([upper_bounds(measure, one) for one in alone])
    assert upper_bounds(measure, together) == pytest.approx(expected, abs=1e-12)


def test_a_measure_without_a_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="no bound is known for novelty@3"):
        upper_bounds(Measure("novelty", 3), known([1], [1]))
