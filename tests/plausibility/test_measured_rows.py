"""Rows that were measured are never called impossible, and rows that were tampered with often are."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pytest_embedbench.core.measures import Measure, parse_measure
from pytest_embedbench.plausibility.check import check_row
from pytest_embedbench.plausibility.rows import Grading, ReportedRow, ReportedValue
from pytest_embedbench.plausibility.sources import read_rows
from tests.plausibility.conftest import MeasuredMeans

untimed = settings(deadline=None, max_examples=100)


def errors(row: ReportedRow) -> list[str]:
    return [found.message for found in check_row(row) if found.level == "error"]


def rounded(means: dict[Measure, float], decimals: int | None, judgments: Grading) -> ReportedRow:
    scores = {
        measure: ReportedValue(value) if decimals is None else ReportedValue.printed(f"{value:.{decimals}f}")
        for measure, value in means.items()
    }
    return ReportedRow(dataset="data", scores=scores, judgments=judgments)


@untimed
@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 3, 10]), st.sampled_from([None, 1, 2, 3, 4, 5]))
def test_no_ranking_with_grades_is_impossible(
    measured_means: MeasuredMeans, seed: int, grades: int, decimals: int | None
) -> None:
    means = measured_means(seed, grades=grades)
    assert not errors(rounded(means, decimals, "graded"))
    assert not errors(rounded(means, decimals, ""))


@untimed
@given(st.integers(0, 2**32 - 1), st.sampled_from([None, 1, 2, 3, 4, 5]))
def test_no_binary_ranking_is_impossible(measured_means: MeasuredMeans, seed: int, decimals: int | None) -> None:
    row = rounded(measured_means(seed, grades=1), decimals, "binary")
    assert not [found for found in check_row(row) if found.level != "warning"]


def test_ndcg_below_precision_at_rank_one_tells_that_judgments_are_graded() -> None:
    scores = {"ndcg@1": "0.400", "precision@1": "0.500", "ndcg@10": "0.400", "map@10": "0.450"}
    row = ReportedRow(
        dataset="data", scores={parse_measure(name): ReportedValue.printed(text) for name, text in scores.items()}
    )
    assert not list(check_row(row))
    assert [found.rule for found in check_row(replace(row, judgments="binary"))] == ["binary-bound", "binary-bound"]


# Published rows


@pytest.fixture(scope="module")
def published(shared: Path) -> list[ReportedRow]:
    """Return MTEB's rows, read as the file that they are."""
    return read_rows(shared / "reference" / "mteb_published.json")


def as_on_a_card(row: ReportedRow, decimals: int) -> ReportedRow:
    """The three scores that a card prints, without a model to compare with."""
    names = [Measure(family, 10) for family in ("ndcg", "map", "mrr")]
    scores = {name: ReportedValue.printed(f"{row.scores[name].value:.{decimals}f}") for name in names}
    return replace(row, model="", scores=scores)


def test_published_rows_give_no_finding(published: list[ReportedRow]) -> None:
    assert len(published) == 75
    assert len({row.model for row in published}) == 7
    for row in published:
        assert len(row.scores) == 8
        assert not list(check_row(row)), row


@pytest.mark.parametrize("decimals", [2, 3, 4])
def test_published_rows_rounded_give_no_finding(published: list[ReportedRow], decimals: int) -> None:
    for row in published:
        assert not list(check_row(as_on_a_card(row, decimals))), row


def tampered(row: ReportedRow) -> Iterator[ReportedRow]:
    """The row with two scores exchanged, or one of them multiplied."""
    for one, other in combinations(row.scores, 2):
        yield replace(row, scores=row.scores | {one: row.scores[other], other: row.scores[one]})
    for measure, value in row.scores.items():
        for factor in (0.05, 0.1, 0.25, 0.5, 2, 4):
            yield replace(row, scores=row.scores | {measure: ReportedValue(value.value * factor, value.half)})


def share_caught(rows: list[ReportedRow]) -> float:
    caught = [bool(errors(changed)) for row in rows for changed in tampered(row)]
    return sum(caught) / len(caught)


def test_tampered_rows_are_often_caught(published: list[ReportedRow]) -> None:
    """Measured: 0.65 of the eight scores of a published row, 0.43 of the three on a card of a binary dataset."""
    binary = [replace(row, model="") for row in published if row.dataset in {"FiQA2018", "NanoFiQA2018Retrieval"}]
    assert share_caught([replace(row, model="") for row in published[::10]]) > 0.55
    assert share_caught([as_on_a_card(row, 4) for row in binary]) > 0.35


def test_an_mrr_a_tenth_as_large_is_always_caught(published: list[ReportedRow]) -> None:
    mrr = Measure("mrr", 10)
    for row in (as_on_a_card(row, 4) for row in published):
        assert errors(replace(row, scores=row.scores | {mrr: ReportedValue(row.scores[mrr].value / 10, 5e-5)})), row
