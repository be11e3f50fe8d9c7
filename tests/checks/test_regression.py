"""What a regression check says, from given values alone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_embedbench.checks.comparison import LostQuery, QueriesCompared
from pytest_embedbench.checks.regression import RegressionCheck, judge_comparison
from pytest_embedbench.checks.significance import adjust_together, compare
from pytest_embedbench.checks.verdict import PairNames, Verdict
from pytest_embedbench.core.measures import Measure

LOST = LostQuery("q1", "what is it", 1.0, 0.5, "d1", "d9", "d1", 1, 0)


def judged(
    before: Sequence[float], now: Sequence[float], *, max_drop: float = 0.005, confidence: float = 0.95, tests: int = 1
) -> Verdict:
    """The verdict on one of so many equal comparisons."""
    check = RegressionCheck(measure=Measure("ndcg", 10), max_drop=max_drop, confidence=confidence)
    tested = adjust_together([compare(before, now, confidence=confidence, tests=tests)] * tests)[0]
    comparison = QueriesCompared(tested, "base.json", ["torch 1 -> 2"], lambda: [LOST])
    return judge_comparison(PairNames("m", "d"), check, comparison)


def values(count: int, drop: float) -> tuple[list[float], list[float]]:
    """So many queries of which each loses ``drop``."""
    return [0.9] * count, [0.9 - drop] * count


def test_a_regression() -> None:
    verdict = judged(*values(20, 0.1))
    assert verdict.explanation.splitlines() == [
        (
            "ndcg@10 fell by 0.1000 from 0.9000 in base.json to 0.8000 (95% interval of the drop 0.1000 to 0.1000), "
            "more than max_drop 0.005; significant: p = 0.0001, level 0.05"
        ),
        "changed since then: torch 1 -> 2",
        "queries that lost most:",
        "  -0.5000  q1  'what is it' (1.0000 -> 0.5000)",
        "           ranked first: d9, was d1; relevant d1: rank 1 -> not found",
    ]
    assert (verdict.status, verdict.check, verdict.measured, verdict.limit, verdict.value) == (
        "failed", "regression ndcg@10", "0.8000 (-0.1000, p = 0.0001)", "drop <= 0.005", 0.1,
    )  # fmt: skip


@pytest.mark.parametrize(("drop", "status"), [(0.005, "passed"), (0.005001, "failed"), (0.3, "failed")])
def test_a_drop_of_just_max_drop_passes(drop: float, status: str) -> None:
    verdict = judged(*values(30, drop))
    assert verdict.status == status
    assert ("within max_drop" in verdict.explanation) == (status == "passed")


def test_with_a_max_drop_of_zero_every_significant_drop_fails() -> None:
    assert judged(*values(30, 0.0001), max_drop=0).status == "failed"
    assert "too few" not in judged([0.9] * 9, [0.9] * 8 + [0.8], max_drop=0).explanation


def test_a_large_drop_without_significance_passes_and_says_so() -> None:
    verdict = judged([0.9] * 10, [0.9] * 7 + [0.1] * 3)
    assert verdict.status == "passed"
    first = verdict.explanation.splitlines()[0]
    assert ", more than max_drop 0.005; not significant: p = 0.12, level 0.05; " in first
    assert first.endswith(" queries detect a drop of 0.3039 or more (power 80%), too few to detect max_drop 0.005: "
                          "that takes about 36,931")  # fmt: skip


def test_many_comparisons_are_stricter() -> None:
    before, now = values(6, 0.2)
    assert judged(before, now).status == "failed", "p is 1/64"
    verdict = judged(before, now, tests=4)
    assert verdict.status == "passed"
    assert "p = 0.016, Holm's p = 0.062 for 4 comparisons, level 0.05; 6 queries are too few to detect any drop" in (
        verdict.explanation
    )


def test_an_improvement_is_reported() -> None:
    verdict = judged([0.5] * 20, [0.6] * 20)
    assert verdict.status == "passed"
    assert verdict.explanation.startswith("ndcg@10 improved: it rose by 0.1000 from 0.5000 in base.json to 0.6000 (")
    assert "; significant: p = 0.0001" in verdict.explanation
    small = judged([0.5] * 20, [0.5] * 18 + [0.6] * 2).explanation
    assert small.startswith("ndcg@10 rose by 0.0100")
    assert "not significant" in small


def test_no_difference_is_said_so() -> None:
    verdict = judged(*values(20, 0.0))
    assert verdict.explanation == "ndcg@10 is 0.9000, for every query what it was in base.json"
    swapped = judged([0.2, 0.4, 0.6, 0.1, 0.1], [0.4, 0.2, 0.6, 0.1, 0.1])
    assert swapped.explanation.startswith("ndcg@10 is 0.2800 as in base.json, though 2 queries changed (95% interval")
    assert swapped.status == "passed"
