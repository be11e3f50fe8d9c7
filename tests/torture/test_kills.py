"""A short form of ``python -m tests.torture.kills``: what killed sessions leave is whole, and nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.forkserver import FORKS, ForkServer
from tests.torture.kills import Torture
from tests.torture.trial import LIBRARIES

pytestmark = pytest.mark.skipif(not FORKS, reason="sessions are forks, and /proc tells which processes are left")

COUNT = 2
"""Steps of each kind of session; ``make torture`` takes every step."""


@pytest.fixture(scope="module")
def light_server() -> Iterator[ForkServer]:
    server = ForkServer(LIBRARIES)
    yield server
    server.close()


@pytest.mark.parametrize("scenario", ["steps", "replacement", "full_at_steps"])
def test_sessions_that_are_killed_or_find_the_disk_full_lose_nothing(
    light_server: ForkServer, tmp_path: Path, scenario: str
) -> None:
    torture = Torture(light_server, tmp_path, count=COUNT)
    getattr(torture, scenario)()
    assert torture.found == []
    assert torture.done["sessions"] >= 2 * COUNT


def test_four_sessions_that_update_one_baseline_keep_all_entries(light_server: ForkServer, tmp_path: Path) -> None:
    torture = Torture(light_server, tmp_path, count=1)
    torture.baselines()
    assert torture.found == []
    assert torture.done["sessions"] == 6


def test_four_sessions_on_one_folder_agree(light_server: ForkServer, tmp_path: Path) -> None:
    torture = Torture(light_server, tmp_path, count=1)
    torture.cluster()
    assert torture.found == []
    assert torture.done["sessions"] == 6
