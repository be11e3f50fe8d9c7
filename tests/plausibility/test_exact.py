"""The exact test for binary judgments."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_embedbench.core.measures import Measure
from pytest_embedbench.plausibility.check import check_row
from pytest_embedbench.plausibility.exact import EXACT_CUTS, corners, rr_range
from pytest_embedbench.plausibility.inequalities import ap_over_rr, ndcg_over_rr
from pytest_embedbench.plausibility.rows import ReportedValue
from tests.plausibility.conftest import MakeRow, MeasuredMeans
from tests.plausibility.test_inequalities import single_query

NDCG, AP = ReportedValue.printed("0.1447"), ReportedValue.printed("0.1137")


def test_the_smallest_mrr_that_the_reference_cards_row_allows() -> None:
    allowed = rr_range(10, NDCG, AP)
    assert allowed is not None
    assert allowed.low == pytest.approx(0.0533, abs=5e-5)
    assert allowed.high < 1


def test_the_simple_bounds_are_looser() -> None:
    allowed = rr_range(10, NDCG, AP)
    assert allowed is not None
    assert allowed.low > max(NDCG.value / ndcg_over_rr(10), AP.value / ap_over_rr(10))


def test_scores_that_exclude_each_other() -> None:
    assert rr_range(10, ReportedValue.printed("0.1000"), ReportedValue.printed("0.9000")) is None


@pytest.mark.parametrize("k", [2, 11])
def test_other_cuts_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"from 3 to 10, not {k}"):
        corners(k)


@pytest.mark.parametrize("k", EXACT_CUTS)
def test_every_single_query_is_reachable_and_nothing_beside_it(k: int) -> None:
    """The range has the query's RR in it, however many documents are relevant; corners are queries themselves."""
    random = np.random.default_rng(k)
    for _ in range(20):
        hits = tuple(int(hit) for hit in random.integers(0, 2, size=k))
        query = single_query(hits, max(1, sum(hits)) + int(random.choice([0, 1, 5, 100])))
        allowed = rr_range(k, ReportedValue(query["ndcg"]), ReportedValue(query["map"]))
        assert allowed is not None
        assert allowed.low - 1e-4 <= query["mrr"] <= allowed.high + 1e-4
    assert {round(float(value), 9) for value in corners(k)[2]} <= {
        0.0,
        *(round(1 / rank, 9) for rank in range(1, k + 1)),
    }


def test_the_lowest_value_is_reached_by_a_set_of_queries() -> None:
    """Half the queries find everything at once, half nothing: no other set has these means, so RR is 0.5."""
    allowed = rr_range(10, ReportedValue(0.5), ReportedValue(0.5))
    assert allowed is not None
    # nDCG = AP holds with one relevant document at rank 1 for all that is found: both bounds meet.
    assert allowed.low == pytest.approx(0.5, abs=1e-3)


def test_an_impossible_row_that_the_simple_bounds_let_pass(make_row: MakeRow) -> None:
    scores = {"ndcg@10": "0.5000", "map@10": "0.4900", "mrr@10": "0.3000"}
    assert not list(check_row(make_row(scores, "graded")))
    (found,) = check_row(make_row(scores, "binary"))
    assert (found.level, found.rule) == ("error", "exact")
    assert found.values["mrr@10"] == 0.3
    lowest = found.values["lowest"]
    assert f"needs mrr@10 >= {lowest:.4f}, found 0.3" in found.message
    possible = {**scores, "mrr@10": f"{lowest + 0.0001:.4f}"}
    assert not list(check_row(make_row(possible, "binary")))


def test_too_high_an_mrr(make_row: MakeRow) -> None:
    (found,) = check_row(make_row({"ndcg@10": "0.3000", "map@10": "0.2950", "mrr@10": "0.9000"}, "binary"))
    assert "allows mrr@10 <= " in found.message


def test_unknown_judgments_make_it_a_note(make_row: MakeRow) -> None:
    (found,) = check_row(make_row({"ndcg@10": "0.5000", "map@10": "0.4900", "mrr@10": "0.3000"}))
    assert (found.level, found.rule) == ("note", "exact")
    assert found.message.startswith("impossible, if all relevant documents have one grade: ")


@pytest.mark.parametrize("seed", range(40))
def test_what_was_measured_is_possible(seed: int, measured_means: MeasuredMeans) -> None:
    scores = measured_means(seed, grades=1)
    for k in (3, 5, 10):
        allowed = rr_range(k, ReportedValue(scores[Measure("ndcg", k)]), ReportedValue(scores[Measure("map", k)]))
        assert allowed is not None
        assert allowed.low - 1e-9 <= scores[Measure("mrr", k)] <= allowed.high + 1e-9
