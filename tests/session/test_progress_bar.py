"""A progress bar says how many texts are done, and never fills the terminal's last column."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pytest_embedbench.core.batching import distinct
from pytest_embedbench.encode.loop import encode
from pytest_embedbench.session.progress_bar import TerminalBar
from tests.encode.test_loop import LetterModel


class Screen:
    """A terminal that keeps what is written to it."""

    column = 7

    def __init__(self, width: int) -> None:
        self.width, self.written = width, ""

    def write(self, text: str) -> None:
        self.written += text


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_a_bar_is_narrower_than_the_terminal(width: int) -> None:
    screen: Any = Screen(width)
    bar = TerminalBar(screen)
    bar.start("document", 100_000)
    for done in range(1, 5):
        bar.count(done * 1000, 4000)
        bar.advance(25_000)
    bar.finish()
    shown = [line for line in re.split(r"[\r\n]", screen.written) if line.startswith("document")]
    assert shown
    assert max(map(len, shown)) < width
    assert screen.written.endswith("\x1b[A\x1b[7C"), "back behind pytest's text"


def test_texts_are_counted_within_the_first_window(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[tuple[int, int]] = []
    screen: Any = Screen(100)
    bar = TerminalBar(screen)
    monkeypatch.setattr(bar, "count", lambda texts, total: counted.append((texts, total)))
    texts, _ = distinct([f"{'a' * (number % 7)}b{number}" for number in range(40)])
    encode(LetterModel(), texts, "document", batch_tokens=40, progress=bar)
    assert len(counted) > 4
    assert counted == sorted(counted)
    assert counted[-1] == (len(texts), len(texts))
