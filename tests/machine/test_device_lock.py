"""One lock for each device: names, who waits for whom, and who does not."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import pytest

from pytest_embedbench.core.waits import ANNOUNCER
from pytest_embedbench.machine.device_lock import hold_devices, physical_name

ENOUGH = 30.0
"""Seconds; a thread that nothing holds up takes less."""
SOON = 0.2
"""Seconds; within this time a thread would get a lock that it must not get."""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


class Holder:
    """Thread that holds devices until the test lets it go."""

    def __init__(self, *devices: str, alone: bool) -> None:
        self.has, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold, args=(devices, alone), daemon=True)
        self._thread.start()

    def _hold(self, devices: tuple[str, ...], alone: bool) -> None:
        with hold_devices(devices, alone=alone):
            self.has.set()
            self._over.wait(ENOUGH)

    def let_go(self) -> None:
        self._over.set()
        self._thread.join(ENOUGH)


@pytest.mark.parametrize(
    ("device", "visible", "name"),
    [
        ("cpu", "3", "cpu"),
        ("cuda", "", "cuda:0"),
        ("cuda:1", "", "cuda:1"),
        ("cuda", "3", "cuda:3"),
        ("cuda:1", "3, 5", "cuda:5"),
        ("cuda:0", "GPU-8a1c", "cuda:GPU-8a1c"),
        ("cuda:7", "3,5", "cuda:7"),
        ("cuda:x", "3,5", "cuda:x"),
    ],
)
def test_a_device_has_one_name(device: str, visible: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert physical_name(device) == name


@pytest.mark.parametrize(("first", "second"), [(True, True), (True, False), (False, True)])
def test_who_is_alone_has_nobody_beside_it(first: bool, second: bool) -> None:
    earlier = Holder("cpu", alone=first)
    assert earlier.has.wait(ENOUGH)
    later = Holder("cpu", alone=second)
    assert not later.has.wait(SOON)
    earlier.let_go()
    assert later.has.wait(ENOUGH)
    later.let_go()


def test_others_share_it_and_other_devices_are_free() -> None:
    together = [Holder("cpu", alone=False), Holder("cpu", "cuda:0", alone=False), Holder("cuda:1", alone=True)]
    assert all(holder.has.wait(ENOUGH) for holder in together)
    for holder in together:
        holder.let_go()


def test_new_work_does_not_overtake_who_waits_to_be_alone() -> None:
    first = Holder("cpu", alone=False)
    assert first.has.wait(ENOUGH)
    waiting = Holder("cpu", alone=True)
    assert not waiting.has.wait(SOON)
    late = Holder("cpu", alone=False)
    assert not late.has.wait(SOON)
    first.let_go()
    assert waiting.has.wait(ENOUGH)
    assert not late.has.is_set()
    waiting.let_go()
    assert late.has.wait(ENOUGH)
    late.let_go()


def test_two_that_need_the_same_devices_take_them_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order in which sessions name devices does not matter; else each could hold one and wait for the other."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for _ in range(20):
        pair = [Holder("cpu", "cuda:0", alone=True), Holder("cuda", "cpu", alone=True)]
        for holder in pair:
            holder._over.set()
        for holder in pair:
            assert holder.has.wait(ENOUGH)
            holder.let_go()


def test_a_wait_says_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_embedbench.core.waits.SHORTEST_SHOWN_SECONDS", 0.0)
    earlier = Holder("cpu", alone=True)
    assert earlier.has.wait(ENOUGH)
    lines: list[str] = []

    def heard(line: str) -> None:
        lines.append(line)
        earlier.let_go()

    with ANNOUNCER.heard_by(heard), hold_devices(["cpu"], alone=True):
        pass
    assert lines == ["waiting for another load profile on this machine, 0 s", ""]


def test_the_locks_of_a_session_are_its_own() -> None:
    machine = Holder("cpu", alone=True)
    assert machine.has.wait(ENOUGH)
    with hold_devices(["cpu"], alone=False, session="abc"), hold_devices(["cpu"], alone=True, session="def"):
        pass
    machine.let_go()


def test_a_name_is_no_path(tmp_path: Path) -> None:
    with hold_devices(["../cuda:0"], alone=True):
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "embedbench-..-cuda-0.gate",
            "embedbench-..-cuda-0.room",
        ]
