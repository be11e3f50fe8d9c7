"""The search for the highest rate under a p99: on a simulated queue, whose time is exact, and on a real server."""

from __future__ import annotations

import itertools
import random
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.load.open_loop import OpenLoop, OpenSide, arrivals
from pytest_embedbench.load.quantiles import min_samples, percentile
from pytest_embedbench.load.rate_search import (
    PRECISION,
    allowed_over_limit,
    judge_rate,
    max_rate,
    requests_needed,
    search,
)
from pytest_embedbench.load.rates import MAX_PROBES, MaxRate, RateProbe
from pytest_embedbench.load.samples import Sample
from pytest_embedbench.load.statistics import summarize
from pytest_embedbench.models.protocol import ModelFacts, PreparedText

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Vectors


def queue(service_s: float, rate: float, requests: int) -> list[float]:
    """Latencies (ms) of one server with a fixed service time: Lindley's recursion."""
    free, latencies = 0.0, []
    for due in itertools.islice(arrivals(rate, random.Random(3)), requests):
        free = max(free, due) + service_s
        latencies.append((free - due) * 1000)
    return latencies


def simulated(
    service_s: float, limit_ms: float, *, start: float, seconds: float = 1e9, required: Sequence[float] = ()
) -> MaxRate:
    now = 0.0

    def probe(rate: float) -> RateProbe:
        nonlocal now
        requests = requests_needed(rate, limit_ms)
        now += requests / rate
        p99 = percentile(sorted(queue(service_s, rate, requests)), 0.99)
        return RateProbe(rate=rate, requests=requests, holds=p99 <= limit_ms, p99_ms=p99)

    return search(probe, start, limit_ms=limit_ms, seconds=seconds, required=required, clock=lambda: now)


@settings(deadline=None, max_examples=40)
@given(st.floats(0.002, 0.05), st.floats(1.5, 40), st.floats(0.02, 5))
def test_the_rate_found_is_the_knee_of_the_queue(service_s: float, times: float, start: float) -> None:
    """Holds for any service time, limit and start of the search; no rate above the server's capacity holds."""
    capacity = 1 / service_s
    result = simulated(service_s, times * service_s * 1000, start=start * capacity)
    assert result.ended == "precise"
    assert result.refuted is not None
    assert result.rate < result.refuted <= result.rate * (1 + PRECISION)
    assert result.rate <= capacity * (1 + PRECISION)
    held = [probe for probe in result.probes if probe.holds]
    assert max(probe.rate for probe in held) == result.rate
    assert min(probe.rate for probe in result.probes if not probe.holds) == result.refuted
    assert all(probe.p99_ms is not None and probe.p99_ms <= result.limit_ms for probe in held)


def test_a_tighter_limit_gives_a_lower_rate() -> None:
    rates = [simulated(0.01, limit, start=50).rate for limit in (15, 30, 60, 200)]
    assert rates == sorted(rates)
    assert rates[0] < 60 < rates[-1]


def test_a_limit_below_the_service_time_holds_at_no_rate() -> None:
    result = simulated(0.01, 9, start=50)
    assert (result.rate, result.ended, len(result.probes)) == (0, "probes", MAX_PROBES)
    assert result.refuted == result.probes[-1].rate


def test_where_nothing_fails_the_search_says_so() -> None:
    result = search(lambda rate: RateProbe(rate=rate, requests=1, holds=True), 1, limit_ms=10, seconds=1e9)
    assert (result.refuted, result.ended) == (None, "probes")
    assert result.rate == 2.0 ** (MAX_PROBES - 1)


def test_the_time_ends_the_search_after_a_probe() -> None:
    result = simulated(0.01, 30, start=50, seconds=1)
    assert (result.ended, len(result.probes)) == ("time", 1)
    assert msgspec.json.decode(msgspec.json.encode(result), type=MaxRate) == result


@settings(deadline=None, max_examples=40)
@given(
    st.floats(0.002, 0.05),
    st.floats(1.5, 40),
    st.floats(0.02, 5),
    st.lists(st.floats(0.01, 1e6), min_size=1, max_size=3),
    st.booleans(),
)
def test_every_rate_that_is_asked_for_is_decided(
    service_s: float, times: float, start: float, required: list[float], hurried: bool
) -> None:
    """Holds however short the time is; rates far above the highest that holds are not tried, since that takes long."""
    rates = sorted(required)
    seconds = 0 if hurried else 1e9
    result = simulated(service_s, times * service_s * 1000, start=start / service_s, seconds=seconds, required=rates)
    assert len(result.probes) == MAX_PROBES or not any(
        result.rate < rate < (result.refuted or float("inf")) for rate in rates
    )
    held = [0.0]
    for probe in result.probes:
        assert probe.rate <= max(2 * max(held), result.probes[0].rate)
        held += [probe.rate] if probe.holds else []
    assert result.ended != "precise" or (result.refuted or 0) <= result.rate * (1 + PRECISION)


def test_a_rate_that_is_asked_for_is_tried_itself() -> None:
    result = simulated(0.01, 200, start=50, seconds=0, required=[70.0])
    assert [(probe.rate, probe.holds) for probe in result.probes] == [(50, True), (70, True)]
    assert (result.rate, result.refuted, result.ended) == (70, None, "time")
    within = simulated(0.01, 200, start=97, seconds=1e9, required=[99.0])
    assert 99.0 in [probe.rate for probe in within.probes], "though the bracket was narrow enough without it"


@given(st.integers(368, 5000), st.data())
def test_so_many_late_ones_are_allowed_and_not_one_more(requests: int, data: st.DataObject) -> None:
    late = data.draw(st.integers(0, 80))
    latencies = sorted([1.0] * (requests - late) + [3.0] * late)
    p99 = percentile(latencies, 0.99)
    if late > allowed_over_limit(requests):
        assert p99 == 3.0, "none of them need be looked at any more"
    if late < allowed_over_limit(requests):
        assert p99 == 1.0


@given(st.floats(0.1, 10_000), st.floats(1, 10_000))
def test_a_probe_is_long_enough_for_a_p99_and_for_an_overload_to_show(rate: float, limit_ms: float) -> None:
    requests = requests_needed(rate, limit_ms)
    assert requests >= min_samples(0.99)
    capacity = rate / (1 + PRECISION)
    wait_at_the_end_s = requests / capacity - requests / rate
    assert wait_at_the_end_s * 1000 >= limit_ms * (1 - 1e-9)


@pytest.mark.parametrize(
    ("late_ms", "share", "limited"), [(60.0, 0.9, True), (40.0, 0.9, False), (60.0, 0.4, False), (60.0, None, False)]
)
def test_a_rate_that_the_client_could_not_send_is_told(late_ms: float, share: float | None, limited: bool) -> None:
    samples = [Sample(0.01 * number, 150.0, None, late_ms) for number in range(400)]
    statistics = summarize([150.0] * 400, batch=1, own_tokens=1, tokens=1, seconds=4.0, distinct_texts=400)
    side = OpenSide(100.0, statistics, samples, gave_up=False, client_share=share)
    assert judge_rate(side, 100).client_limited is limited
    assert not judge_rate(side, 200).client_limited, "it held"


class Model:
    """Model that takes 2 ms for each text, one text at a time, in a real server."""

    facts = ModelFacts()

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        return [PreparedText(text, 10, 8) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        time.sleep(0.002 * len(batch))
        return np.zeros((len(batch), 2), np.float32)


class Heard(SilentProgress):
    """Progress that records each bar's label and total, and the texts done."""

    def __init__(self) -> None:
        self.bars: list[tuple[str, int, int]] = []

    def start(self, label: str, total: int) -> None:
        self.bars.append((label, total, 0))

    def advance(self, tokens: int) -> None:
        label, total, result = self.bars[-1]
        self.bars[-1] = label, total, result + tokens


def test_a_real_server_holds_no_more_than_it_can_do() -> None:
    texts = [f"text {number}" for number in range(2000)]
    progress = Heard()
    with OpenLoop(Model(), texts, "query", 1, 10) as loop:
        result, sides = max_rate(loop, limit_ms=40, seconds=4, progress=progress)
    assert result.rate <= 500 * (1 + PRECISION)
    assert [side.rate for side in sides] == [probe.rate for probe in result.probes]
    assert [len(side.samples) for side in sides] == [probe.requests for probe in result.probes]
    for probe, side in zip(result.probes, sides, strict=True):
        late = sum(sample.latency_ms > 40 for sample in side.samples)
        if probe.p99_ms is None:
            assert side.gave_up
            assert late > allowed_over_limit(requests_needed(probe.rate, 40))
        else:
            assert probe.holds == (probe.p99_ms <= 40)
            assert probe.requests == requests_needed(probe.rate, 40)
        assert probe.lag_ms >= 0
    assert progress.bars == [
        (f"query at {probe.rate:.3g}/s load", requests_needed(probe.rate, 40), probe.requests)
        for probe in result.probes
    ], "each rate is shown with what is done of it"
