"""The progress of a load: what is to come is what the rate lets expect within the time."""

from __future__ import annotations

import time

import pytest

from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.load.load_progress import shown_progress


class Heard(SilentProgress):
    def __init__(self) -> None:
        self.shown: list[tuple[str, int]] = []
        self.done = 0

    def start(self, label: str, total: int) -> None:
        self.shown.append((label, total))

    def expect(self, total: int) -> None:
        self.shown.append(("expect", total))

    def advance(self, tokens: int) -> None:
        self.done += tokens

    def finish(self) -> None:
        self.shown.append(("finish", self.done))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_slow_server_has_a_time_to_go(clock: list[float]) -> None:
    heard = Heard()
    with shown_progress(heard, "query load", 10_000, seconds=20) as advance:
        for clock[0], texts in ((3.0, 0), (4.0, 1), (8.0, 1), (10.0, 3), (24.0, 4)):
            advance(texts)
    assert heard.shown == [
        ("query load", 10_000), ("expect", 5), ("expect", 5), ("expect", 10), ("expect", 9), ("finish", 9)
    ]  # fmt: skip


def test_a_fast_one_has_all_texts_and_a_budget_its_samples(clock: list[float]) -> None:
    heard = Heard()
    with shown_progress(heard, "query load", 500, seconds=20, least=368) as advance:
        clock[0] = 1.0
        advance(100)
        clock[0] = 100.0
        advance(1)
    assert heard.shown == [("query load", 500), ("expect", 500), ("expect", 368), ("finish", 101)]


def test_the_bar_ends_with_an_error(clock: list[float]) -> None:
    heard = Heard()
    with pytest.raises(KeyError), shown_progress(heard, "query load", 5, seconds=clock[0]):
        raise KeyError
    assert heard.shown[-1] == ("finish", 0)
