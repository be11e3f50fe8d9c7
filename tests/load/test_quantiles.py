"""Percentiles of samples: their intervals, and how many samples they need."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from pytest_embedbench.load.quantiles import (
    CONFIDENCE,
    PERCENTILES,
    min_samples,
    percentile,
    percentile_interval,
    refusal,
)
from pytest_embedbench.load.stopping import MAX_MEDIAN_CHANGE, MAX_RELATIVE_WIDTHS, is_precise, is_warmed_up

shares = st.sampled_from(sorted(PERCENTILES.values())) | st.floats(0.02, 0.98)


@pytest.mark.parametrize(("share", "samples"), [(0.5, 6), (0.9, 36), (0.95, 72), (0.99, 368), (0.1, 36)])
def test_how_many_samples_a_percentile_needs(share: float, samples: int) -> None:
    """Tables of non-parametric intervals have the same numbers: 6 for the median at 95%."""
    assert min_samples(share) == samples
    assert percentile_interval([1.0] * (samples - 1), share) is None
    assert percentile_interval([1.0] * samples, share) == (1.0, 1.0)


def test_p99_of_50_samples_is_refused() -> None:
    assert refusal("p99", 50) == "p99 needs 368 samples, there are 50"
    assert refusal("p50", 50) == ""


@given(shares, st.integers(0, 3000))
def test_an_interval_covers_as_often_as_it_says_and_is_no_wider_than_it_must_be(share: float, more: int) -> None:
    """Ranks stand for samples, so that the interval's ends are ranks; coverage is then exact, by the binomial."""
    count = min_samples(share) + more
    result = percentile_interval(range(1, count + 1), share)
    assert result is not None
    low, high = int(result.low), int(result.high)
    assert binom.cdf(high - 1, count, share) - binom.cdf(low - 1, count, share) >= CONFIDENCE - 1e-12
    tail = (1 - CONFIDENCE) / 2
    assert binom.cdf(low, count, share) > tail - 1e-12, "a higher lower end would be too high too often"
    assert 1 - binom.cdf(high - 2, count, share) > tail - 1e-12, "a lower upper end would be too low too often"


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_of_many_profiles_few_have_an_interval_that_misses(share: float) -> None:
    chance = random.Random(7)
    truth = -math.log(1 - share)
    missed = 0
    for _ in range(500):
        result = percentile_interval(sorted(chance.expovariate(1) for _ in range(600)), share)
        assert result is not None
        missed += not result.low <= truth <= result.high
    assert missed <= 45, "5% of 500 are 25; 45 or more have a probability below 0.0002"


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=400), shares)
def test_an_interval_holds_its_percentile_and_lies_among_the_samples(samples: list[float], share: float) -> None:
    ordered = sorted(samples)
    result = percentile_interval(ordered, share)
    if result is not None:
        assert ordered[0] <= result.low <= percentile(ordered, share) <= result.high <= ordered[-1]


def spread(deviation: float, count: int) -> list[float]:
    return [float(value) for value in 100 * np.random.default_rng(5).lognormal(0, deviation, count)]


def test_more_samples_are_more_precise() -> None:
    assert not is_precise(spread(0.5, 400))
    assert is_precise(spread(0.5, 20_000))
    assert is_precise([7.0] * min_samples(0.99))
    assert is_precise([0.0] * min_samples(0.99)), "a clock that sees nothing"
    assert not is_precise([7.0] * (min_samples(0.99) - 1)), "too few for p99"


def test_where_the_percentiles_lie_plays_no_part() -> None:
    assert is_precise(spread(0.5, 20_000)) == is_precise([100 * value for value in spread(0.5, 20_000)])


def test_both_percentiles_must_be_narrow() -> None:
    narrow = spread(0.05, 5_000)
    assert is_precise(narrow)
    assert not is_precise(narrow[:-100] + [300.0 * (1 + n) for n in range(100)]), "a tail that nobody knows"
    assert set(MAX_RELATIVE_WIDTHS) == {"p50", "p99"}


@pytest.mark.parametrize(
    ("medians", "ended"),
    [
        ([], False),
        ([10.0], False),
        ([10.0, 10.0], True),
        ([100.0, 10.0], False),
        ([100.0, 10.0, 10.0 * (1 - MAX_MEDIAN_CHANGE)], True),
        ([10.0, 10.0 * (1 + MAX_MEDIAN_CHANGE) + 0.1], False),
        ([0.0, 0.0], True),
        ([0.0, 1.0], False),
    ],
)
def test_when_warm_up_ends(medians: list[float], ended: bool) -> None:
    assert is_warmed_up(medians) is ended
