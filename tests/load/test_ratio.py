"""The ratio of times: its mean, its interval, and the stored samples that give the same ratio again."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_embedbench.load.ratio import BATCHES, TimedPair, dump_pairs, parse_pairs, ratio_of
from pytest_embedbench.load.side_by_side import MAX_WIDTH, MIN_PAIRS_TO_STOP, _stop_reason

times = st.floats(1e-4, 1e7)
pair = st.builds(TimedPair, sent_s=st.floats(0, 1e6), model_ms=times, baseline_ms=times, model_first=st.integers(0, 1))


def timed(*ratios: float) -> list[TimedPair]:
    return [TimedPair(float(n), 10.0 * ratio, 10.0, n % 2) for n, ratio in enumerate(ratios)]


@given(st.lists(pair, min_size=2, max_size=BATCHES), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_it_is_students_interval_of_the_logarithms(pairs: list[TimedPair], confidence: float) -> None:
    logs = np.log([one.model_ms for one in pairs]) - np.log([one.baseline_ms for one in pairs])
    result = ratio_of(pairs, confidence)
    assert math.log(result.ratio) == pytest.approx(float(logs.mean()), abs=1e-9)
    if (error := float(stats.sem(logs))) > 1e-6:
        low, high = stats.t.interval(confidence, len(logs) - 1, logs.mean(), error)
        assert result.low == pytest.approx(math.exp(low), rel=1e-6)
        assert result.high == pytest.approx(math.exp(high) if high < 700 else math.inf, rel=1e-6)


@given(st.lists(pair, min_size=5, max_size=20))
def test_exchanged_models_have_the_inverse_ratio(pairs: list[TimedPair]) -> None:
    there = ratio_of(pairs, 0.95)
    back = ratio_of([one._replace(model_ms=one.baseline_ms, baseline_ms=one.model_ms) for one in pairs], 0.95)
    assert [back.ratio * there.ratio, back.low * there.high, back.high * there.low] == pytest.approx([1, 1, 1])


def test_by_hand() -> None:
    """Two ratios, 1 and 4: logarithms 0 and ln 4; t(0.975, 1) is 12.7062, the standard error ln 2."""
    result = ratio_of(timed(1, 4), 0.95)
    assert result.ratio == pytest.approx(2)
    assert result.high == pytest.approx(2 * math.exp(12.7062047 * math.log(2)))
    assert result.width == pytest.approx((result.high - result.low) / 2)


def test_equal_ratios_have_an_interval_of_no_width() -> None:
    result = ratio_of(timed(1.3, 1.3, 1.3), 0.95)
    assert (result.low, result.ratio, result.high) == pytest.approx((1.3, 1.3, 1.3))


def test_one_pair_says_nothing() -> None:
    assert ratio_of(timed(1.3), 0.95)[1:] == (0, math.inf)


@given(st.lists(pair, max_size=20))
def test_pairs_are_read_as_they_were_written(pairs: list[TimedPair]) -> None:
    assert parse_pairs(dump_pairs(pairs)) == pairs


@given(st.lists(pair, min_size=BATCHES, max_size=BATCHES), st.integers(2, 5))
def test_neighbours_that_are_alike_make_it_no_narrower(pairs: list[TimedPair], times: int) -> None:
    """Successive pairs with equal ratios count as one observation."""
    alike = [one for one in pairs for _ in range(times)]
    assert ratio_of(alike, 0.95) == pytest.approx(ratio_of(pairs, 0.95), rel=1e-9)


@pytest.mark.parametrize(("correlation", "least"), [(0.0, 0.9), (0.6, 0.82)], ids=["independent", "neighbours alike"])
def test_the_interval_holds_the_ratio_though_its_width_ends_the_sampling(correlation: float, least: float) -> None:
    """Intervals from single pairs would hold the ratio in 64% of cases if neighbours' correlation is 0.6."""
    random = np.random.default_rng(2)
    sessions, held = 300, 0
    for _ in range(sessions):
        pairs: list[TimedPair] = []
        noise = float(random.normal())
        while not _stop_reason(pairs, 0.0, 20.0, 0.95):
            pairs += timed(1.2 * math.exp(0.1 * noise))
            noise = correlation * noise + math.sqrt(1 - correlation**2) * float(random.normal())
        result = ratio_of(pairs, 0.95)
        assert result.width <= MAX_WIDTH
        assert len(pairs) >= MIN_PAIRS_TO_STOP
        held += result.low <= 1.2 <= result.high
    assert least * sessions <= held <= 0.98 * sessions
