"""The statistics behind regression checks, against enumeration, scipy's t-test, hand calculations and simulation."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_embedbench.checks import significance as paired
from pytest_embedbench.checks.significance import compare, detectable_drop, holm, queries_needed

GRADES = st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 0.63093, 1.0])
P_VALUES = st.lists(st.floats(0, 1), max_size=12)


def by_enumeration(differences: list[int]) -> float:
    """The one-sided p over all 2^n signs, in the direction observed."""
    observed = abs(sum(differences))
    sums = [sum(sign * one for sign, one in zip(signs, differences, strict=True))
            for signs in product((1, -1), repeat=len(differences))]  # fmt: skip
    return sum(one >= observed for one in sums) / len(sums)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(GRADES, GRADES), min_size=1, max_size=9))
def test_p_of_few_queries_is_exact(values: list[tuple[float, float]]) -> None:
    before, now = zip(*values, strict=True)
    found = compare(before, now, confidence=0.95)
    differences = [round(b * 1e6) - round(n * 1e6) for b, n in values]
    assert found.p == pytest.approx(by_enumeration(differences) if sum(differences) else 1.0)
    assert found.changed == sum(one != 0 for one in differences)
    assert found.drop == pytest.approx(sum(differences) / len(differences) / 1e6, abs=1e-12)


def test_p_of_many_queries_is_near_that_of_the_t_test() -> None:
    generator = np.random.default_rng(3)
    before = generator.uniform(0, 1, 400)
    for drop in (-0.01, 0.0, 0.003, 0.008):
        now = before - drop - generator.normal(0, 0.1, 400)
        found = compare(before, now, confidence=0.95)
        both = stats.ttest_rel(before, now).pvalue
        assert found.p_two_sided == pytest.approx(both, abs=0.03)
        assert {found.p_drop, found.p_gain} == {found.p, 1.0}
        assert found.p_two_sided == min(1.0, 2 * found.p)


def test_queries_without_a_difference_do_not_matter_to_p() -> None:
    before, now = [1.0, 0.5, 0.5, 1.0, 0.7, 0.9], [0.5, 0.6, 0.1, 0.3, 0.2, 0.4]
    alone = compare(before, now, confidence=0.95)
    padded = compare([*before, *[0.3] * 50], [*now, *[0.3] * 50], confidence=0.95)
    assert alone.p == padded.p == 2 / 64
    assert padded.drop < alone.drop


def test_the_same_values_give_exactly_no_difference() -> None:
    values = [1 / 3, 2 / 3, 0.1 + 0.2, 1e-7]
    found = compare(values, [round(value, 6) for value in values], confidence=0.95)
    assert (found.drop, found.changed, found.p, found.p_drop, found.p_gain) == (0.0, 0, 1.0, 1.0, 1.0)
    assert (found.low, found.high) == (0.0, 0.0)


def test_the_same_values_give_the_same_p_again() -> None:
    generator = np.random.default_rng(4)
    before, now = generator.uniform(0, 1, 60), generator.uniform(0, 1, 60)
    assert compare(before, now, confidence=0.9) == compare(before, now, confidence=0.9)


def test_one_query_says_nothing() -> None:
    found = compare([1.0], [0.0], confidence=0.95)
    assert found.p == 0.5
    assert math.isnan(found.low)
    assert math.isnan(found.deviation)
    assert detectable_drop(found.deviation, 1, 0.05) == math.inf


def test_p_is_finer_where_holm_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "RESAMPLES", 99)
    before, now = np.full(30, 0.9), np.linspace(0.1, 0.5, 30)
    assert compare(before, now, confidence=0.95).p == pytest.approx(1 / 201)
    assert compare(before, now, confidence=0.95, tests=10).p == pytest.approx(1 / 2001)


def test_false_alarms_come_as_often_as_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "RESAMPLES", 299)
    generator = np.random.default_rng(5)
    rounds, alarms = 500, 0
    for _ in range(rounds):
        before = generator.uniform(0, 1, 40)
        now = before + generator.normal(0, 0.2, 40) * (generator.uniform(size=40) < 0.6)
        alarms += compare(before, now, confidence=0.95).p_drop < 0.05
    assert stats.binomtest(alarms, rounds, 0.05).pvalue > 0.001, alarms


def test_a_detectable_drop_is_detected_four_times_in_five(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "RESAMPLES", 299)
    generator = np.random.default_rng(6)
    rounds, found = 400, 0
    drop = detectable_drop(0.1, 150, 0.05)
    assert drop == pytest.approx((1.644854 + 0.841621) * 0.1 / math.sqrt(150), rel=1e-6)
    for _ in range(rounds):
        before = generator.uniform(0, 1, 150)
        found += compare(before, before - generator.normal(drop, 0.1, 150), confidence=0.95).p_drop < 0.05
    assert stats.binomtest(found, rounds, 0.8).pvalue > 0.001, found


def test_the_interval_is_near_that_of_the_t_test() -> None:
    generator = np.random.default_rng(7)
    before = generator.uniform(0, 1, 300)
    now = before - generator.normal(0.02, 0.1, 300)
    for confidence in (0.9, 0.95, 0.99):
        found = compare(before, now, confidence=confidence)
        wanted = stats.ttest_rel(before, now).confidence_interval(confidence)
        assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.001)


def test_holm_by_hand() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 is 0.02, 0.03, 0.06, 0.04; the last may not be below the third.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.5, 0.6]) == [1.0, 1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


@given(P_VALUES)
def test_holm_lies_between_the_raw_values_and_bonferroni_and_keeps_their_order(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(raw <= new <= min(1.0, len(values) * raw) + 1e-12 for raw, new in zip(values, adjusted, strict=True))
    pairs = sorted(zip(values, adjusted, strict=True))
    assert [new for _, new in pairs] == sorted(adjusted)


def test_how_many_queries_a_drop_needs() -> None:
    needed = queries_needed(0.1, 0.005, 0.05)
    assert detectable_drop(0.1, needed, 0.05) <= 0.005 < detectable_drop(0.1, needed - 1, 0.05)
    assert queries_needed(0.1, 0.005, 0.05 / 10) > needed, "more comparisons need more queries"


@pytest.mark.parametrize(("alpha", "fewest"), [(0.05, 5), (0.01, 7), (0.25, 3), (0.05 / 8, 8)])
def test_very_few_queries_detect_nothing(alpha: float, fewest: int) -> None:
    assert detectable_drop(0.1, fewest - 1, alpha) == math.inf
    assert detectable_drop(0.1, fewest, alpha) < 1
    assert queries_needed(0.001, 0.5, alpha) == fewest
    lost = compare([1.0] * fewest, [0.0] * fewest, confidence=1 - alpha)
    assert lost.p < alpha <= compare([1.0] * (fewest - 1), [0.0] * (fewest - 1), confidence=1 - alpha).p
