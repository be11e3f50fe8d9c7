"""Locks of files: who waits says so, and for how long."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from filelock import Timeout

from pytest_embedbench.core import waits
from pytest_embedbench.core.locks import file_locked
from pytest_embedbench.core.waits import ANNOUNCER

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the lines that are shown, also those of short waits."""
    monkeypatch.setattr(waits, "SHORTEST_SHOWN_SECONDS", 0.0)
    return []


def test_a_free_lock_is_taken_without_a_word(tmp_path: Path, lines: list[str]) -> None:
    with ANNOUNCER.heard_by(lines.append), file_locked(tmp_path / "lock", "somebody"):
        pass
    assert lines == []


def test_a_wait_is_shown_until_the_lock_is_free(tmp_path: Path, lines: list[str]) -> None:
    taken, free = threading.Event(), threading.Event()

    def hold() -> None:
        with file_locked(tmp_path / "lock", "nobody"):
            taken.set()
            free.wait(60)

    def heard(line: str) -> None:
        lines.append(line)
        free.set()

    holder = threading.Thread(target=hold)
    holder.start()
    assert taken.wait(60)
    with ANNOUNCER.heard_by(heard), file_locked(tmp_path / "lock", "somebody"):
        pass
    holder.join()
    assert lines[0].startswith("waiting for somebody, ")
    assert lines[0].endswith(" s")
    assert lines[-1] == "", "the line is taken away"


def test_a_wait_may_have_an_end(tmp_path: Path) -> None:
    with (
        file_locked(tmp_path / "lock", "nobody"),
        pytest.raises(Timeout),
        file_locked(tmp_path / "lock", "somebody", seconds=0.0),
    ):
        pytest.fail("two have the lock")
