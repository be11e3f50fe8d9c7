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


def test_a_lock_that_cannot_be_opened_is_one_failure_of_what_measures(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks = project.folder / "locks"
    locks.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(locks))
    gate = locks / "embedbench-cpu.gate"
    gate.symlink_to(gate)  # to root no file is forbidden
    project.suite(
        "recall@1 >= 0.5",
        more="""
        [[checks]]
        profile = "b1 c1"
        budget = ["query mean <= 60 s", "query p50 <= 60 s"]
        """,
    )
    result = project.run("--embed-profile-seconds=0.05")
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines([f"*{gate}: cannot be locked: *", "*fix: *TMPDIR=FOLDER"])
    assert "INTERNALERROR" not in project.text(result)


def test_results_of_others_are_not_searched_for_tests(project: Project) -> None:
    project.suite("recall@1 >= 0.5")
    project.write("embedbench-out/results/conftest.py", "raise PermissionError")
    project.write("embedbench-out/results/test_it.py", "def test_it(): raise PermissionError")
    result = project.run()
    result.assert_outcomes(passed=1)
