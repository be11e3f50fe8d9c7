"""The interval of a rate: it encloses the rate, as often as its confidence says, and is not given for few requests."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.load.quantiles import MIN_RATE_REQUESTS, rate_interval
from pytest_embedbench.load.samples import AnsweredRequest, Sample, statistics_of
from pytest_embedbench.models.protocol import PreparedText

requests = st.lists(
    st.tuples(st.floats(0, 1), st.floats(0, 1000)), min_size=MIN_RATE_REQUESTS, max_size=3 * MIN_RATE_REQUESTS
)


@given(requests, st.floats(0.1, 1000))
def test_the_interval_is_around_the_mean_rate(shares: list[tuple[float, float]], seconds: float) -> None:
    result = rate_interval([(share * seconds, amount) for share, amount in shares], seconds)
    assert result is not None
    rate = sum(amount for _, amount in shares) / seconds
    assert result.low - 1e-9 * rate <= rate <= result.high + 1e-9 * rate
    assert result.low >= 0
    if result.low > 0:
        assert (result.low + result.high) / 2 == pytest.approx(rate)


def test_an_even_stream_has_a_rate_without_doubt() -> None:
    result = rate_interval([((number + 0.5) / 50, 3.0) for number in range(500)], 10.0)
    assert result == pytest.approx((150, 150))


def test_so_many_intervals_hold_the_true_rate() -> None:
    """Requests at random times, 50 a second: 380 of 400 intervals should hold the rate; 365 are certain to."""
    chance = random.Random(5)

    def once() -> bool:
        times = itertools.accumulate(chance.expovariate(50) for _ in itertools.repeat(None))
        result = rate_interval([(time, 1.0) for time in itertools.takewhile(lambda time: time < 20, times)], 20.0)
        return result is not None and result.low <= 50 <= result.high

    assert 365 <= sum(once() for _ in range(400)) <= 395


def test_what_comes_in_clumps_is_less_certain() -> None:
    even = rate_interval([((number + 0.5) / 50, 1.0) for number in range(500)], 10.0)
    clumps = rate_interval([((number // 100 + 0.5) / 0.5, 1.0) for number in range(500)], 10.0)
    assert even is not None
    assert clumps is not None
    assert clumps.high - clumps.low > even.high - even.low + 1


def test_a_few_requests_have_no_interval() -> None:
    assert rate_interval([(number / 100, 1.0) for number in range(MIN_RATE_REQUESTS - 1)], 1.0) is None
    assert rate_interval([(number / 100, 1.0) for number in range(MIN_RATE_REQUESTS)], 1.0) is not None


def test_the_statistics_of_a_load_have_intervals_of_their_rates() -> None:
    texts = [PreparedText("one", 10, 8), PreparedText("two", 12, 7)]
    answered = [AnsweredRequest(Sample(number / 100, 10.0), ["one", "two"], texts) for number in range(400)]
    result = statistics_of(answered, 2, [])
    for name, interval in result.intervals_per_s.items():
        assert interval.low <= getattr(result, name) <= interval.high
    requests_per_s = result.intervals_per_s["requests_per_s"]
    assert result.intervals_per_s["texts_per_s"] == pytest.approx([2 * end for end in requests_per_s])
    assert result.intervals_per_s["tokens_per_s"] == pytest.approx([15 * end for end in requests_per_s])
    assert statistics_of(answered[: MIN_RATE_REQUESTS - 1], 2, []).intervals_per_s == {}
