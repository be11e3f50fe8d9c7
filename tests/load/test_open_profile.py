"""A profile at one rate: requests and their times, why it ends, and whether the server kept up."""

from __future__ import annotations

import itertools
import random
import threading
import time
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_embedbench.core.thresholds import digits
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.load.closed_loop import LOAD_SEED, SideProfile
from pytest_embedbench.load.notes import overload_note
from pytest_embedbench.load.open_loop import WARM_UP_CLIENTS, arrivals, profile_open_side
from pytest_embedbench.load.overload import MAX_GROWTH, MIN_REQUESTS, describe_arrivals
from pytest_embedbench.load.samples import Sample
from pytest_embedbench.load.shape import OpenShape
from pytest_embedbench.load.statistics import SideStatistics
from pytest_embedbench.models.protocol import ModelFacts, PreparedText
from tests.load.test_rate_search import queue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Vectors

TEXTS = [f"text {number}" for number in range(2000)]
ALONE = 10
"""Tokens; under this budget a batch holds one text."""


class Model:
    """Model that takes a given number of seconds for a batch."""

    facts = ModelFacts()

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.texts = seconds, list[str]()

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        return [PreparedText(text, 10, 8) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        self.texts += [text.payload for text in batch]
        time.sleep(self.seconds)
        return np.zeros((len(batch), 2), np.float32)


def profile(
    shape: OpenShape,
    model: Model | None = None,
    *,
    requests: int = 10**6,
    seconds: float = 3600,
    texts: int = 2000,
    least: int = 0,
) -> SideProfile:
    return profile_open_side(
        model or Model(),
        TEXTS[:texts],
        "query",
        shape,
        requests=requests,
        seconds=seconds,
        batch_tokens=ALONE,
        progress=SilentProgress(),
        least=least,
    )


def test_requests_are_due_at_the_times_of_the_rate_and_no_text_is_sent_twice() -> None:
    model = Model()
    result = profile(OpenShape(2, 1000), model, requests=400)
    due = list(itertools.islice(arrivals(1000, random.Random(LOAD_SEED)), 400))
    assert sorted(sample.sent_s for sample in result.samples) == due
    assert due[0] == 0
    side = result.statistics
    assert (side.requests, side.texts, side.distinct_texts, side.unanswered) == (400, 800, 800, 0)
    assert len(model.texts) == len(set(model.texts)), "nor any of the warm-up"
    assert side.p99_ms is not None
    assert side.warm_up is not None
    assert side.warm_up.requests >= 2 * WARM_UP_CLIENTS
    assert side.arrivals is not None
    assert (side.arrivals.rate_per_s, side.arrivals.seconds) == (1000, due[-1])
    lags = sorted(sample.lag_ms for sample in result.samples if sample.lag_ms is not None)
    assert len(lags) == 400
    assert side.arrivals.lag_ms == pytest.approx(float(np.percentile(lags, 99)))
    assert msgspec.json.decode(msgspec.json.encode(side), type=SideStatistics) == side
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("embedbench-")]


def test_it_ends_for_the_same_reasons_as_a_closed_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_embedbench.load.open_loop.is_precise", lambda _: False)
    assert profile(OpenShape(1, 2000), requests=50).statistics.ended == "requests"
    assert profile(OpenShape(1, 2000), texts=80).statistics.ended == "texts"
    monkeypatch.setattr("pytest_embedbench.load.clients.monitor.POLL_SECONDS", 0.001)
    monkeypatch.setattr("pytest_embedbench.load.open_loop.is_precise", lambda latencies: len(latencies) >= 20)
    side = profile(OpenShape(1, 100)).statistics
    assert (side.ended, side.unanswered) == ("precise", 0), "what was under way then has been waited for"
    assert 20 <= side.requests < 1500


def test_few_texts_are_sent_again_where_a_budget_needs_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_embedbench.load.open_loop.is_precise", lambda _: False)
    side = profile(OpenShape(1, 2000), texts=40, seconds=0.2, least=368).statistics
    assert (side.requests, side.distinct_texts, side.ended) == (382, 40, "time"), "for the whole time"
    longer = profile(OpenShape(1, 2000), texts=40, seconds=0.02, least=368).statistics
    assert (longer.requests, longer.unanswered) == (368, 0), "or beyond it, as far as need be"
    assert longer.p99_ms is not None
    hopeless = profile(OpenShape(1, 20), texts=40, seconds=0.1, least=368).statistics
    assert hopeless.ended == "time"
    assert hopeless.requests < 40, "a rate that cannot bring so many in overtime gets none"


def test_a_rate_too_low_for_its_time_still_has_a_request() -> None:
    side = profile(OpenShape(1, 0.001), seconds=0.05).statistics
    assert (side.requests, side.ended, side.unanswered) == (1, "time", 0)
    assert side.arrivals is not None
    assert side.arrivals.kept_up is None
    assert overload_note(side).startswith(
        "too short to tell whether the server keeps up: requests came for 0 s, and one took "
    )


def test_an_overload_ends_with_its_time_and_says_so() -> None:
    """1,000 requests a second come to a server that answers 100: most are unanswered in the end, and no number counts them."""
    model = Model(0.01)
    result = profile(OpenShape(1, 1000), model, seconds=1.0)
    side = result.statistics
    assert side.ended == "time"
    assert side.requests == len(result.samples) < 300
    assert side.unanswered > 300
    assert side.arrivals is not None
    assert side.arrivals.kept_up is False
    sent = side.requests + side.unanswered
    assert side.warm_up is not None
    assert len(model.texts) == side.requests + side.warm_up.requests, "what was given up never reached the model"
    assert sent <= 2000
    assert overload_note(side) == (
        f"the server did not keep up: it answered {digits(side.requests_per_s)} of 1000 requests/s, and "
        f"{side.unanswered:,} requests had no answer in the end; latency grows for as long as the load lasts"
    )
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("embedbench-")]


def test_an_error_ends_the_profile_and_reaches_the_caller() -> None:
    class Broken(Model):
        def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
            if len(self.texts) > 200:
                raise ValueError("poisoned")
            return super().forward(batch, role)

    with pytest.raises(ValueError, match="poisoned"):
        profile(OpenShape(1, 1000), Broken())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("embedbench-")]


# Did it keep up? On a simulated queue, whose time is exact.


def samples_of(service_s: float, rate: float, requests: int) -> list[Sample]:
    due = itertools.islice(arrivals(rate, random.Random(3)), requests)
    return [Sample(*one, None, 0.0) for one in zip(due, queue(service_s, rate, requests), strict=True)]


@settings(deadline=None)
@given(st.floats(0.001, 1), st.floats(1.5, 50), st.integers(300, 1500))
def test_an_overload_is_seen_whatever_the_server(service_s: float, times: float, requests: int) -> None:
    result = describe_arrivals(samples_of(service_s, times / service_s, requests), times / service_s, 0)
    assert result.kept_up is False
    assert result.growth == pytest.approx(times - 1, rel=0.5), "each second brings work for so many more"


@settings(deadline=None)
@given(st.floats(0.001, 1), st.floats(0.01, 0.7), st.integers(MIN_REQUESTS, 1500))
def test_a_server_with_time_to_spare_keeps_up(service_s: float, times: float, requests: int) -> None:
    result = describe_arrivals(samples_of(service_s, times / service_s, requests), times / service_s, 0)
    assert result.kept_up
    assert result.growth < MAX_GROWTH


def test_a_burst_that_is_over_before_it_is_answered_tells_nothing() -> None:
    burst = [Sample(number / 3000, 500.0 + number, None, 0.0) for number in range(150)]
    assert describe_arrivals(burst, 3000, 0).kept_up is None


def test_few_requests_show_no_slope_but_unanswered_ones_are_an_overload() -> None:
    few = [Sample(number / 2, 20.0 * (number + 1), None, 0.0) for number in range(MIN_REQUESTS - 1)]
    assert (describe_arrivals(few, 2, 0).growth, describe_arrivals(few, 2, 0).kept_up) == (0, True)
    assert describe_arrivals(few, 2, 1).kept_up is False
