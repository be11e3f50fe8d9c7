"""Two models side by side: order of their requests, and when the comparison ends. Time is the fakes' own."""

from __future__ import annotations

import itertools
import random
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.load.closed_loop import WARM_UP_ROUNDS
from pytest_embedbench.load.ratio import ratio_of
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.load.side_by_side import (
    CHECK_EVERY,
    MAX_WIDTH,
    MIN_PAIRS,
    MIN_PAIRS_TO_STOP,
    Conditions,
    PairedSide,
    compare_side,
)
from pytest_embedbench.models.protocol import ModelFacts, PreparedText

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Vectors

TEXTS = [f"text {number}" for number in range(2000)]
SHAPES = [LoadShape(1, 1), LoadShape(3, 1), LoadShape(1, 4), LoadShape(2, 16)]


class Clock:
    """Clock that stands still until a model moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Timed:
    """Model that takes a given number of milliseconds for a text, by the clock; ``log`` records models and texts."""

    facts = ModelFacts()

    def __init__(self, name: str, clock: Clock, cost: Callable[[str], float], log: list[tuple[str, str]]) -> None:
        self.name, self.clock, self.cost, self.log = name, clock, cost, log

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        assert role == "query"
        return [PreparedText(text, 4, 2) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        for text in batch:
            self.log.append((self.name, text.payload))
            self.clock.now += self.cost(text.payload) / 1000
        return np.zeros((len(batch), 2), np.float32)


class Race:
    """A model and its baseline, each with its milliseconds for a text."""

    def __init__(self, model: Callable[[str], float], baseline: Callable[[str], float] = lambda _: 10.0) -> None:
        self.clock, self.log = Clock(), list[tuple[str, str]]()
        self.models = Timed("model", self.clock, model, self.log), Timed("baseline", self.clock, baseline, self.log)

    def run(self, shape: LoadShape = SHAPES[0], *, seconds: float = 3600, texts: Sequence[str] = TEXTS) -> PairedSide:
        conditions = Conditions(seconds, 0.95, 64, SilentProgress(), self.clock)
        return compare_side(self.models, texts, "query", shape, conditions)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_ratio_is_exact_however_much_texts_differ(shape: LoadShape) -> None:
    lengths = dict(zip(TEXTS, itertools.cycle([1.0, 7.0, 100.0, 3.0, 42.0]), strict=False))
    result = Race(lambda text: 1.25 * lengths[text], lambda text: lengths[text]).run(shape)
    side = result.statistics
    assert (side.ratio, side.low, side.high) == pytest.approx((1.25, 1.25, 1.25), rel=1e-4)
    assert (side.pairs, side.stopped) == (MIN_PAIRS_TO_STOP, "precise")
    assert side.texts == MIN_PAIRS_TO_STOP * shape.batch * shape.concurrency
    assert side.model_ms == pytest.approx(1.25 * side.baseline_ms, rel=1e-4)
    assert side.seconds == pytest.approx(sum(one.model_ms + one.baseline_ms for one in result.pairs) / 1000, rel=1e-4)


def test_a_machine_that_slows_down_meets_both_alike() -> None:
    """Both models slow down threefold during the load; two profiles, one after the other, would blame one model."""
    calls = itertools.count()
    race = Race(lambda _: 10.0)
    for model in race.models:
        model.cost = lambda _: 10.0 * (1 + next(calls) / 50)
    side = race.run().statistics
    assert side.low < 1 < side.high
    assert side.high < 1.03


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_get_the_same_requests_one_after_the_other_and_never_together(shape: LoadShape) -> None:
    race = Race(lambda _: 12.0)
    result = race.run(shape)
    size = shape.batch * shape.concurrency
    windows = [race.log[start : start + size] for start in range(0, len(race.log), size)]
    assert len(windows) == 2 * (WARM_UP_ROUNDS + result.statistics.pairs)
    firsts = []
    for one, other in zip(windows[::2], windows[1::2], strict=True):
        names = [{name for name, _ in window} for window in (one, other)]
        assert names in ([{"model"}, {"baseline"}], [{"baseline"}, {"model"}]), "a window is of one model alone"
        assert {text for _, text in one} == {text for _, text in other}
        firsts.append(int(names[0] == {"model"}))
    assert [pair.model_first for pair in result.pairs] == firsts[WARM_UP_ROUNDS:]
    counted = firsts[WARM_UP_ROUNDS:]
    assert all(one != other for one, other in zip(counted[::2], counted[1::2], strict=True)), "in turn, two by two"
    assert 0 < sum(counted[::2]) < len(counted[::2]), "but not always the same one before the other"
    texts = [text for name, text in race.log if name == "model"]
    assert len(texts) == len(set(texts)), "no text is sent twice while there are others"


def test_the_same_requests_in_the_same_order_in_every_session() -> None:
    races = [Race(lambda _: 12.0), Race(lambda _: 12.0)]
    for race in races:
        race.run()
    assert races[0].log == races[1].log
    assert [text for _, text in races[0].log[::2]] != TEXTS[: len(races[0].log) // 2]


def test_whoever_is_second_finds_something_warm_and_it_does_not_matter() -> None:
    known: set[str] = set()

    def cost(text: str) -> float:
        cold = text not in known
        known.add(text)
        return 12.0 if cold else 10.0

    assert Race(cost, cost).run().statistics.ratio == pytest.approx(1)


def test_warm_up_does_not_count() -> None:
    calls = itertools.count()
    side = Race(lambda _: 10_000.0 if next(calls) < WARM_UP_ROUNDS else 10.0).run().statistics
    assert (side.ratio, side.model_ms) == pytest.approx((1, 10))


def noisy(deviation: float) -> Callable[[str], float]:
    chance = random.Random(3)
    return lambda _: 10.0 * chance.lognormvariate(0, deviation)


def test_it_goes_on_until_the_interval_is_narrow() -> None:
    result = Race(noisy(0.2)).run()
    side = result.statistics
    assert side.stopped == "precise"
    assert side.pairs > MIN_PAIRS_TO_STOP
    assert (side.high - side.low) / side.ratio <= MAX_WIDTH
    assert ratio_of(result.pairs[:-CHECK_EVERY], 0.95).width > MAX_WIDTH


def test_it_ends_when_its_time_is_up() -> None:
    side = Race(noisy(2)).run(seconds=3).statistics
    assert side.stopped == "time"
    assert 3 <= side.seconds < 4
    assert (side.high - side.low) / side.ratio > MAX_WIDTH


def test_a_short_time_still_makes_a_few_pairs() -> None:
    side = Race(noisy(2)).run(seconds=1e-9).statistics
    assert (side.pairs, side.stopped) == (MIN_PAIRS, "time")
    assert 0 < side.low < side.high < float("inf")


def test_the_statistics_are_those_of_the_pairs() -> None:
    result = Race(noisy(0.3)).run(seconds=1)
    side = result.statistics
    assert (side.ratio, side.low, side.high) == ratio_of(result.pairs, side.confidence)
    assert side.model_ms == pytest.approx(float(np.median([pair.model_ms for pair in result.pairs])))
    assert [pair.sent_s for pair in result.pairs] == sorted(pair.sent_s for pair in result.pairs)


def test_few_texts_are_sent_again_and_counted() -> None:
    side = Race(lambda _: 12.0).run(LoadShape(2, 2), texts=["one", "two", "", "two", "three"]).statistics
    assert (side.texts, side.distinct_texts) == (MIN_PAIRS_TO_STOP * 4, 3)
    assert side.ratio == pytest.approx(1.2)


def test_a_clock_that_sees_nothing_gives_no_ratio_but_one() -> None:
    assert Race(lambda _: 0.0, lambda _: 0.0).run().statistics.ratio == 1


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("broken", [0, 1])
def test_an_error_reaches_the_caller_and_leaves_no_thread(shape: LoadShape, broken: int) -> None:
    race = Race(lambda _: 10.0)
    calls = itertools.count()

    def cost(text: str) -> float:
        if next(calls) == 5 * shape.batch * shape.concurrency + 1:
            raise ValueError("poisoned")
        return 10.0

    race.models[broken].cost = cost
    with pytest.raises(ValueError, match="poisoned"):
        race.run(shape)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("embedbench-")]
