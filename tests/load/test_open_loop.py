"""The open loop: when requests are sent, and from when their latency counts."""

from __future__ import annotations

import itertools
import random
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import kstest

from pytest_embedbench.load.open_loop import OpenLoop, arrivals
from pytest_embedbench.load.quantiles import min_samples
from pytest_embedbench.models.protocol import SERVED_DEVICE, ModelFacts, PreparedText

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Vectors

TEXTS = [f"text {number}" for number in range(300)]


class Model:
    """Model that takes a given number of seconds for its nth batch; under a budget of ``ALONE`` a batch holds one text."""

    def __init__(self, seconds: Callable[[int], float] = lambda _: 0.0, device: str = "cpu") -> None:
        self.facts = ModelFacts(device=device)
        self.seconds, self.count, self.texts = seconds, itertools.count(), list[str]()

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        return [PreparedText(text, 10, 8) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        self.texts += [text.payload for text in batch]
        time.sleep(self.seconds(next(self.count)))
        return np.zeros((len(batch), 2), np.float32)


ALONE = 10


def loop(model: Model) -> OpenLoop:
    return OpenLoop(model, TEXTS, "query", 1, ALONE)


def test_arrivals_are_a_poisson_process_of_the_rate() -> None:
    due = list(itertools.islice(arrivals(40, random.Random(1)), 4000))
    assert due == sorted(due)
    assert due[0] == 0, "time counts from the first one"
    gaps = np.diff(due)
    assert kstest(gaps, "expon", args=(0, 1 / 40)).pvalue > 0.01
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 0.05, "no memory"


def test_arrivals_are_the_same_in_every_session() -> None:
    one, other = (list(itertools.islice(arrivals(40, random.Random(1)), 50)) for _ in range(2))
    assert one == other
    faster = list(itertools.islice(arrivals(80, random.Random(1)), 50))
    assert faster == pytest.approx([due / 2 for due in one])


def test_a_side_has_a_sample_of_each_request_at_the_time_it_was_due() -> None:
    model = Model()
    with loop(model) as open_loop:
        side = open_loop.run(2000, 400)
    due = list(itertools.islice(arrivals(2000, random.Random(20260615)), 400))
    assert sorted(sample.sent_s for sample in side.samples) == due
    assert len(side.samples) == side.statistics.requests == 400
    assert all(0 <= (sample.lag_ms or 0.0) < sample.latency_ms for sample in side.samples)
    assert not side.gave_up
    assert side.statistics.p99_ms is not None
    assert side.statistics.serving is not None
    assert side.statistics.distinct_texts == 300, "they go round"
    assert side.statistics.own_tokens == 400 * 8


@pytest.mark.parametrize(("device", "threads"), [("cpu", 512), ("cpu", 1), (SERVED_DEVICE, 1)])
def test_what_a_stall_keeps_waiting_counts_from_when_it_was_due(
    device: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch stalls. A closed loop would see one slow request; here all requests due meanwhile are slow."""
    monkeypatch.setattr("pytest_embedbench.load.clients.thread_clients.MAX_IN_FLIGHT", threads)
    with loop(Model(lambda number: 0.3 if number == 0 else 0.0, device)) as open_loop:
        side = open_loop.run(200, 80)
    first = min(sample.sent_s for sample in side.samples)
    stalled = [sample for sample in side.samples if sample.sent_s < first + 0.3]
    assert len(stalled) > 20
    assert all(sample.latency_ms >= (first + 0.3 - sample.sent_s) * 1000 for sample in stalled)


def test_it_stops_sending_when_there_is_no_use_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_embedbench.load.clients.monitor.POLL_SECONDS", 0.01)
    model = Model(lambda _: 0.002)
    result: list[int] = []
    with loop(model) as open_loop:
        side = open_loop.run(300, 5000, lambda latencies: len(latencies) >= 30, result.append)
        assert side.gave_up
        assert 30 <= side.statistics.requests < 5000
        assert len(model.texts) == side.statistics.requests == sum(result)
        again = open_loop.run(300, 20)
    assert (again.gave_up, again.statistics.requests) == (False, 20)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("embedbench-")]


def test_an_error_ends_the_load_and_reaches_the_caller() -> None:
    class Broken(Model):
        def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
            if len(self.texts) > 10:
                raise ValueError("poisoned")
            return super().forward(batch, role)

    model = Broken()
    with pytest.raises(ValueError, match="poisoned"), loop(model) as open_loop:
        open_loop.run(1000, 100_000)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("embedbench-")]


def test_requests_alone_say_how_long_one_takes() -> None:
    model = Model(lambda number: 0.0 if number < 5 else 0.004)
    with loop(model) as open_loop:
        assert open_loop.alone_ms() >= 4
    assert len(model.texts) == len(set(model.texts)) == 20


def test_too_few_requests_have_no_p99() -> None:
    with loop(Model()) as open_loop:
        side = open_loop.run(5000, min_samples(0.99) - 1)
    assert side.statistics.p99_ms is None
    assert "p99" in side.statistics.refused
