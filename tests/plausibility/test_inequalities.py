"""The inequalities: their constants against the published ones, against enumeration, and what breaks them."""

from __future__ import annotations

from itertools import product
from math import log2

import numpy as np
import pytest

from pytest_embedbench.plausibility.check import check_row
from pytest_embedbench.plausibility.inequalities import (
    AP_BELOW_NDCG,
    BINARY,
    GRADED,
    ap_over_rr,
    binary_bounds,
    graded_bounds,
    ndcg_over_rr,
    precision_over_rr,
)
from tests.plausibility.conftest import EVERY, MakeRow


@pytest.mark.parametrize(("k", "constant"), [(5, 2.0051), (10, 3.39968), (20, 6.4859), (100, 36.24)])
def test_ndcg_over_rr_has_the_known_constants(k: int, constant: float) -> None:
    assert ndcg_over_rr(k) == pytest.approx(constant, rel=2e-4)


def test_the_other_constants_at_ten_are_the_known_ones() -> None:
    binary = {(left, right): factor(10) for left, right, factor in BINARY}
    assert ap_over_rr(10) == pytest.approx(2.18122, abs=5e-6)
    assert precision_over_rr(10) == pytest.approx(3)
    assert binary["map", "ndcg"] == 1
    assert binary["mrr", "ndcg"] == pytest.approx(4.54356, abs=5e-6)
    assert binary["recall", "ndcg"] == pytest.approx(3.45943, abs=5e-6)
    assert binary["precision", "ndcg"] == pytest.approx(1.57181, abs=5e-6)


def test_ap_over_rr_is_the_worst_of_its_definition() -> None:
    for k in (1, 2, 3, 7, 50):
        means = [
            r * sum(j / (r + j - 1) for j in range(1, k + 2 - r)) / (k + 1 - r)  # hits at ranks r to k
            for r in range(1, k + 1)
        ]
        assert ap_over_rr(k) == pytest.approx(max(means), rel=1e-12)


def test_a_family_at_two_cuts_has_the_known_constants(make_row: MakeRow) -> None:
    grows, tail = graded_bounds(make_row({"ndcg@5": "0.5", "ndcg@10": "0.5"}).scores)
    assert (str(grows.left), str(grows.right), grows.offset) == ("ndcg@5", "ndcg@10", 0)
    assert grows.factor == pytest.approx(1.54101, abs=2e-5)
    assert (str(tail.left), str(tail.right), tail.factor) == ("ndcg@10", "ndcg@5", 1)
    assert tail.offset == pytest.approx(0.54101, abs=2e-5)


def single_query(hits: tuple[int, ...], relevant: int) -> dict[str, float]:
    """Every measure of one binary query, by its definition; ``hits`` has a 1 at each relevant rank."""
    k = len(hits)
    ideal = sum(1 / log2(rank + 1) for rank in range(1, min(relevant, k) + 1))
    ranks = [rank for rank, hit in enumerate(hits, 1) if hit]
    return {
        "ndcg": sum(1 / log2(rank + 1) for rank in ranks) / ideal,
        "map": sum(number / rank for number, rank in enumerate(ranks, 1)) / relevant,
        "mrr": 1 / ranks[0] if ranks else 0.0,
        "recall": len(ranks) / relevant,
        "precision": len(ranks) / k,
    }


@pytest.mark.parametrize("k", [1, 3, 5, 10])
def test_every_factor_is_the_least_that_holds_for_binary_rankings(k: int) -> None:
    queries = [
        single_query(hits, relevant)
        for hits in product((0, 1), repeat=k)
        if any(hits)
        for relevant in range(sum(hits), k + 3)
    ]
    for left, right, factor in (*GRADED, *BINARY):
        largest = max(query[left] / query[right] for query in queries)
        assert largest == pytest.approx(factor(k)), (left, right)


def least_ndcg_minus_ap(k: int) -> float:
    """The least nDCG@k - AP@k of a binary query, times D_m: over R = m hits, placed by a dynamic program."""
    ranks = np.arange(1, k + 1)
    gains = 1 / np.log2(ranks + 1)
    totals = np.cumsum(gains)
    least = 0.0
    for hits in range(1, k + 1):
        best = np.zeros(k + 1)  # best[t]: the least sum over the hits so far, all of them in the first t ranks
        for number in range(1, hits + 1):
            placed = np.full(k + 1, np.inf)
            placed[number:] = (best[:-1] + gains - totals[hits - 1] / hits * number / ranks)[number - 1 :]
            best = np.minimum.accumulate(placed)
        least = min(least, float(best[-1]))
    return least


def test_ap_stays_below_ndcg_up_to_the_cut_for_which_it_is_used() -> None:
    assert least_ndcg_minus_ap(AP_BELOW_NDCG) == pytest.approx(0, abs=1e-12)


def test_ap_can_pass_ndcg_at_larger_cuts(make_row: MakeRow) -> None:
    assert least_ndcg_minus_ap(200) < -0.01
    scores = make_row(
        {f"{family}@{k}": text for k in (100, 200) for family, text in (("ndcg", "0.400"), ("map", "0.500"))}
    ).scores
    assert [str(bound) for bound in binary_bounds(scores) if bound.violated(scores)] == ["map@100 <= ndcg@100"]


# Each bound, broken by a little


@pytest.mark.parametrize(
    ("scores", "broken"),
    [
        ({"ndcg@10": "0.3402", "mrr@10": "0.1000"}, "ndcg@10 <= 3.39968 mrr@10"),
        ({"ndcg@3": "0.3401", "mrr@10": "0.1000"}, "ndcg@3 <= 1.5 mrr@10"),
        ({"map@10": "0.2183", "mrr@10": "0.1000"}, "map@10 <= 2.18122 mrr@10"),
        ({"map@10": "0.2183", "recall@10": "0.2181"}, "map@10 <= recall@10"),
        ({"recall@10": "0.1010", "map@10": "0.0100"}, "recall@10 <= 10 map@10"),
        ({"recall@10": "0.5010", "mrr@10": "0.0500"}, "recall@10 <= 10 mrr@10"),
        ({"recall@10": "0.5010", "precision@10": "0.0500"}, "recall@10 <= 10 precision@10"),
        ({"precision@10": "0.3010", "mrr@10": "0.1000"}, "precision@10 <= 3 mrr@10"),
        ({"ndcg@1": "0.3010", "precision@1": "0.3000"}, "ndcg@1 <= precision@1"),
        ({"precision@1": "0.3010", "mrr@10": "0.3000"}, "precision@1 <= mrr@10"),
        ({"precision@1": "0.3000", "mrr@10": "0.6510"}, "mrr@10 <= 0.5 precision@1 + 0.5"),
        ({"ndcg@5": "0.6200", "ndcg@10": "0.4000"}, "ndcg@5 <= 1.54099 ndcg@10"),
        ({"ndcg@5": "0.1000", "ndcg@10": "0.6420"}, "ndcg@10 <= ndcg@5 + 0.540995"),
        ({"recall@5": "0.5002", "recall@10": "0.5000"}, "recall@5 <= recall@10"),
        ({"map@10": "0.5002", "map@100": "0.5000"}, "map@10 <= map@100"),
        ({"mrr@1": "0.5002", "mrr@10": "0.5000"}, "mrr@1 <= mrr@10"),
        ({"precision@5": "0.5002", "precision@10": "0.2500"}, "precision@5 <= 2 precision@10"),
    ],
)
def test_a_broken_bound_is_an_error_with_the_inequality_and_the_numbers(
    scores: dict[str, str], broken: str, make_row: MakeRow
) -> None:
    (found,) = check_row(make_row(scores, "graded"))
    assert (found.level, found.rule, found.dataset) == ("error", "bound", "data")
    assert found.message.startswith(f"impossible: {broken} fails: ")
    for name, text in scores.items():
        assert found.values[name] == float(text)
        assert f"{float(text):.6g}" in found.message


@pytest.mark.parametrize(
    ("scores", "broken"),
    [
        # From 1 to 3 and from 3 to 5 these are possible, but not from 1 to 5.
        ({"ndcg@1": "0.1000", "ndcg@3": "0.7930", "ndcg@5": "0.9600"}, "ndcg@5 <= ndcg@1 + "),
        # Rounding adds up over neighbours.
        ({"recall@1": "0.5040", "recall@5": "0.50", "recall@10": "0.5000"}, "recall@1 <= recall@10"),
        ({"precision@1": "0.5040", "precision@5": "0.1", "precision@10": "0.0500"}, "precision@1 <= 10 precision@10"),
    ],
)
def test_wider_pairs_of_cuts_can_be_tighter(scores: dict[str, str], broken: str, make_row: MakeRow) -> None:
    (found,) = check_row(make_row(scores, "graded"))
    assert found.message.startswith(f"impossible: {broken}")


def test_a_contradiction_is_told_of_its_nearest_cuts(make_row: MakeRow) -> None:
    scores = {"recall@1": "0.9000", "recall@5": "0.3000", "recall@10": "0.3000", "recall@100": "0.3500"}
    (found,) = check_row(make_row(scores, "graded"))
    assert found.message.startswith("impossible: recall@1 <= recall@5 fails")


@pytest.mark.parametrize(
    "scores",
    [
        {"ndcg@10": "0.5", "map@10": "0.5002"},
        {"ndcg@10": "0.1000", "mrr@10": "0.4550"},
        {"ndcg@10": "0.1000", "recall@10": "0.3470"},
        {"ndcg@10": "0.1000", "precision@10": "0.1580"},
    ],
)
def test_what_only_binary_judgments_exclude(scores: dict[str, str], make_row: MakeRow) -> None:
    scores = {**scores, "ndcg@10": f"{float(scores['ndcg@10']):.4f}"}
    assert not list(check_row(make_row(scores, "graded")))
    (unknown,) = check_row(make_row(scores))
    assert unknown.level == "note"
    assert "if all relevant documents have one grade" in unknown.message
    (binary,) = check_row(make_row(scores, "binary"))
    assert (binary.level, binary.rule) == ("error", "binary-bound")


def test_printed_digits_are_the_tolerance(make_row: MakeRow) -> None:
    """A recall of 0.50 may be 0.5049, which is no contradiction to an average precision of 0.504."""
    assert not list(check_row(make_row({"map@10": "0.504", "recall@10": "0.50"})))
    assert [found.level for found in check_row(make_row({"map@10": "0.504", "recall@10": "0.500"}))] == ["error"]


def test_different_ties_in_one_row_are_a_note(make_row: MakeRow) -> None:
    (found,) = check_row(make_row({"precision@1": "0.520", "ndcg@1": "0.520", "mrr@1": "0.517", "mrr@10": "0.700"}))
    assert (found.level, found.rule) == ("note", "first-rank")
    assert "0.52 and 0.517" in found.message


def test_scores_outside_zero_and_one(make_row: MakeRow) -> None:
    (percent,) = check_row(make_row({"ndcg@10": "41.03", "mrr@10": "0.1"}))
    assert percent.message == "impossible: ndcg@10 is 41.03, not between 0 and 1; is it in percent?"
    (negative,) = check_row(make_row({"ndcg@10": "-0.1"}))
    assert (negative.level, negative.rule) == ("error", "range")
    assert not list(check_row(make_row({"ndcg@10": "1.0000", "recall@10": "1.0000", "mrr@10": "1.0000"})))


def test_constants_are_finite_for_every_measure_that_we_record() -> None:
    for measure in EVERY:
        assert all(factor(measure.k) >= 1 for _, _, factor in GRADED)
