"""Length of a closed loop's warm-up and measurement, and the reason it gives for ending."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.errors import DatasetError
from pytest_embedbench.load.clients.interface import LoadControl
from pytest_embedbench.load.closed_loop import (
    WARM_UP_ROUNDS,
    WARM_UP_SHARE,
    WARM_UP_WINDOW,
    WARM_UP_WINDOWS,
    SideProfile,
    profile_side,
)
from pytest_embedbench.load.quantiles import min_samples
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.load.statistics import SideStatistics, WarmUp
from pytest_embedbench.models.protocol import ModelFacts, PreparedText

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Vectors

TEXTS = [f"text {number}" for number in range(4000)]


class Model:
    """Model that answers at once; no test depends on the real time that this takes."""

    facts = ModelFacts(attention="sdpa")

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        return [PreparedText(text, len(text) + 2, len(text)) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        return np.zeros((len(batch), 2), np.float32)


def profile(
    shape: LoadShape, *, texts: Sequence[str] = TEXTS, requests: int = 10**6, seconds: float = 3600, least: int = 0
) -> SideProfile:
    return profile_side(
        Model(),
        texts,
        "query",
        shape,
        requests=requests,
        seconds=seconds,
        batch_tokens=4096,
        progress=SilentProgress(),
        least=least,
    )


def verdicts(monkeypatch: pytest.MonkeyPatch, name: str, *answers: bool) -> list[Sequence[float]]:
    """Replace ``is_warmed_up`` or ``is_precise`` by these answers, the last one repeated; return the arguments of each call."""
    calls: list[Sequence[float]] = []
    endless = itertools.chain(answers, itertools.repeat(answers[-1]))

    def judge(values: Sequence[float]) -> bool:
        calls.append(list(values))
        return next(endless)

    monkeypatch.setattr(f"pytest_embedbench.load.closed_loop.{name}", judge)
    return calls


def test_few_texts_are_sent_again_for_the_samples_that_a_budget_needs() -> None:
    few = [*TEXTS[:40], "", "  "]
    assert profile(LoadShape(1, 2), texts=few).statistics.requests < 40, "otherwise the profile is shorter"
    side = profile(LoadShape(1, 2), texts=few, least=368).statistics
    assert (side.requests, side.texts, side.distinct_texts, side.ended) == (368, 368, 40, "texts")
    assert side.p99_ms is not None
    assert side.refused == {}


def test_a_load_goes_on_beyond_its_time_for_the_samples_that_a_budget_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_embedbench.load.closed_loop.is_precise", lambda _: False)
    assert profile(LoadShape(1, 2), seconds=1e-9).statistics.requests < 368
    monkeypatch.setattr("pytest_embedbench.load.clients.interface.MAX_OVERTIME", 1e15)
    side = profile(LoadShape(1, 2), seconds=1e-9, least=368).statistics
    assert (368 <= side.requests <= 370, side.ended) == (True, "time")
    monkeypatch.setattr("pytest_embedbench.load.clients.interface.MAX_OVERTIME", 10)
    assert profile(LoadShape(1, 2), seconds=1e-9, least=368).statistics.refused["p99"], "but not for ever"


@pytest.mark.parametrize(
    ("seconds", "answered", "over"),
    [
        (19.9, 5, False),
        (20.0, 368, True),
        (20.0, 100, False),
        (199.0, 367, False),
        (200.0, 367, True),
        (20.0, 36, True),
        (20.0, 37, False),
    ],
)
def test_overtime_is_for_loads_that_reach_their_samples_in_it(seconds: float, answered: int, over: bool) -> None:
    assert LoadControl(20.0, least=368).is_over(seconds, answered) is over
    assert LoadControl(20.0).is_over(seconds, answered) is (seconds >= 20)


@pytest.mark.parametrize("texts", [[], ["", " \n"]], ids=["none", "blank"])
def test_nothing_is_measured_where_there_is_no_text(texts: list[str]) -> None:
    with pytest.raises(DatasetError, match="no load can be measured: "):
        profile(LoadShape(1, 1), texts=texts)


@pytest.mark.parametrize("clients", [1, 16])
def test_warm_up_goes_on_window_by_window_until_latencies_settle(clients: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = verdicts(monkeypatch, "is_warmed_up", False, False, True)
    window = max(WARM_UP_ROUNDS * clients, WARM_UP_WINDOW)
    result = profile(LoadShape(1, clients), requests=50).statistics
    assert result.warm_up == WarmUp(3 * window, settled=True)
    assert [len(medians) for medians in calls] == [1, 2, 3]
    assert (result.requests, result.ended) == (50, "requests")


def test_warm_up_has_an_end_where_nothing_settles(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts(monkeypatch, "is_warmed_up", False)
    result = profile(LoadShape(1, 1), requests=50).statistics
    assert result.warm_up == WarmUp(WARM_UP_WINDOWS * WARM_UP_WINDOW, settled=False)


def test_warm_up_takes_a_part_of_the_texts_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts(monkeypatch, "is_warmed_up", False)
    result = profile(LoadShape(1, 1), texts=TEXTS[:100]).statistics
    assert result.warm_up == WarmUp(int(100 * WARM_UP_SHARE), settled=False)
    assert (result.requests, result.ended) == (75, "texts")


def test_warm_up_takes_a_part_of_the_time_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts(monkeypatch, "is_warmed_up", False)
    result = profile(LoadShape(1, 2), seconds=1e-9).statistics
    assert result.warm_up is not None
    assert 2 <= result.warm_up.requests < WARM_UP_WINDOW, "one request of each client, and what was under way"
    assert not result.warm_up.settled
    assert result.ended == "time"


def test_a_side_ends_when_its_percentiles_are_precise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge waits until some requests are answered; meanwhile it holds up no client."""
    enough = threading.Event()
    monkeypatch.setattr("pytest_embedbench.load.clients.monitor.POLL_SECONDS", 0.001)
    calls: list[int] = []

    def precise(latencies: Sequence[float]) -> bool:
        calls.append(len(latencies))
        if len(latencies) >= 20:
            enough.set()
        return enough.is_set()

    monkeypatch.setattr("pytest_embedbench.load.closed_loop.is_precise", precise)
    texts = [f"text {number}" for number in range(200_000)]
    result = profile(LoadShape(1, 4), texts=texts)
    assert result.statistics.ended == "precise"
    assert 20 <= result.statistics.requests < 150_000
    assert result.statistics.requests >= calls[-1]


def test_the_record_of_a_side_says_what_was_served(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts(monkeypatch, "is_precise", False)
    result = profile(LoadShape(3, 4), requests=400)
    side = result.statistics
    assert side.requests == 400
    assert side.requests >= min_samples(0.99)
    assert side.serving is not None
    assert sum(size * count for size, count in side.serving.batch_sizes) == 1200, "warm-up is not among them"
    assert {size for size, _ in side.serving.batch_sizes} <= {3, 6, 9, 12}
    assert 0 <= side.serving.padding_share < 0.5
    assert side.serving.queue_p50_ms is not None
    assert side.serving.queue_p99_ms is not None
    assert side.serving.queue_p50_ms <= side.serving.queue_p99_ms
    assert side.p50_ms is not None
    assert all(0 <= sample.queue_ms <= sample.latency_ms for sample in result.samples if sample.queue_ms is not None)
    assert side.tokens_per_text == pytest.approx(side.own_tokens / 1200)


def test_what_is_recorded_can_be_read_again() -> None:
    side = profile(LoadShape(3, 4), requests=400).statistics
    assert msgspec.json.decode(msgspec.json.encode(side), type=SideStatistics) == side


def test_results_from_before_are_still_read() -> None:
    old = {
        "requests": 50, "texts": 50, "own_tokens": 700, "tokens": 800, "seconds": 1.5, "p50_ms": 1.0, "p90_ms": 2.0,
        "p95_ms": 2.5, "p99_ms": 3.0, "mean_ms": 1.2, "max_ms": 3.0, "requests_per_s": 33.3, "texts_per_s": 33.3,
        "tokens_per_s": 466.7, "distinct_texts": 50,
    }  # fmt: skip
    side = msgspec.json.decode(msgspec.json.encode(old), type=SideStatistics)
    assert (side.p50_ms, side.ended, side.warm_up, side.serving, side.refused) == (1.0, None, None, None, {})
