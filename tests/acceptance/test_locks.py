"""Sessions beside each other: what measures waits for what measures, says so, and holds up nothing else."""

from __future__ import annotations

import tempfile
import threading
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.core.waits import ANNOUNCER
from pytest_embedbench.machine.device_lock import hold_devices

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.conftest import Project

LONG = 300.0
"""Seconds; the lock is let go long before."""


@pytest.fixture
def let_go(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Hold the lock of a load profile, as another session would, until the event is set."""
    locks = project.folder / "locks"
    locks.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(locks))
    taken, over = threading.Event(), threading.Event()

    def hold() -> None:
        with hold_devices(["cpu"], alone=True):
            taken.set()
            over.wait(LONG)

    other = threading.Thread(target=hold)
    other.start()
    assert taken.wait(LONG)
    yield over
    over.set()
    other.join()


def test_only_what_measures_waits_for_a_profile_and_says_so(
    project: Project, let_go: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.suite("recall@1 >= 0", more="[[checks]]\nprofile = 'b1 c1'\nbudget = ['query mean <= 1000 s']\n")
    options = "--embed-device=cpu", "--embed-profile-seconds=0.1"
    lines: list[str] = []
    waiting = ANNOUNCER.waiting

    def heard(line: str) -> None:
        lines.append(line)
        waiting(line)
        let_go.set()

    monkeypatch.setattr(ANNOUNCER, "waiting", heard)
    project.run("-k", "not budget", *options).assert_outcomes(passed=1, deselected=1)
    assert lines == [], "encoding for quality waits for no profile"
    project.run("-k", "budget", *options).assert_outcomes(passed=1, deselected=1)
    assert lines[0] == "waiting for another load profile on this machine, 1 s"
