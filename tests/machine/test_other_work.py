"""Work of others, as Linux's files on processes tell it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.machine import other_work
from pytest_embedbench.machine.other_work import OtherWork, watched_others

if TYPE_CHECKING:
    from pathlib import Path

ME = os.getpid()
TICKS = os.sysconf("SC_CLK_TCK")
PORT = 8080


class Machine:
    """Files of a machine with two processors; times are in seconds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.processes: dict[int, tuple[str, int, float]] = {ME: ("pytest", 1, 10.0)}
        self.busy, self.stolen = 100.0, 0.0
        self.open: dict[int, str] = {}

    def write(self) -> None:
        half = int(self.busy * TICKS / 2)
        row = f"{half} 0 0 5 5 0 0 {int(self.stolen * TICKS / 2)} 0 0"
        (self.root / "stat").write_text(f"cpu 1 2 3\ncpu0 {row}\ncpu1 {row}\ncpu9 {row}\nintr 5\n")
        for number, (name, parent, seconds) in self.processes.items():
            folder = self.root / str(number)
            (folder / "fd").mkdir(parents=True, exist_ok=True)
            # Half of the time is that of children that it has waited for.
            ticks = int(seconds * TICKS / 4)
            zeros = " 0" * 9
            (folder / "stat").write_text(f"{number} ({name}) S {parent}{zeros} {ticks} {ticks} {ticks} {ticks} 20 0")
            if number in self.open and not (folder / "fd" / "3").is_symlink():
                (folder / "fd" / "3").symlink_to(self.open[number])
        (self.root / "net").mkdir(exist_ok=True)
        (self.root / "net" / "tcp").write_text(
            "  sl  local_address rem_address   st tx rx tr tm uid timeout inode\n"
            f"   0: 0100007F:{PORT:04X} 00000000:0000 0A 0:0 0:0 0 0 0 4711 1\n"
            f"   1: 0100007F:{PORT:04X} 0100007F:9999 01 0:0 0:0 0 0 0 4712 1\n"
        )

    def uses(self, number: int, seconds: float) -> None:
        name, parent, before = self.processes[number]
        self.processes[number] = name, parent, before + seconds
        self.busy += seconds


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    times = iter([100.0, 110.0])
    monkeypatch.setattr("pytest_embedbench.machine.other_work.time.perf_counter", lambda: next(times))
    return Machine(tmp_path)


def watched(machine: Machine, used: dict[int, float], url: str = "") -> OtherWork | None:
    machine.write()
    with watched_others(url, machine.root) as found:
        for number, seconds in used.items():
            machine.uses(number, seconds)
        machine.write()
    return found()


def test_our_own_load_is_no_work_of_others(machine: Machine) -> None:
    machine.processes |= {20: ("worker) (x", ME, 1.0), 21: ("below it", 20, 1.0)}
    assert watched(machine, {ME: 12.0, 20: 4.0, 21: 4.0}) == OtherWork(0.0, 2, 0.0)


def test_what_others_use_is_told_in_cores(machine: Machine) -> None:
    machine.processes[30] = "make", 1, 5.0
    machine.stolen = 0.0
    found = watched(machine, {ME: 10.0, 30: 7.0})
    assert found is not None
    assert found.busy_cores == pytest.approx(0.7)


def test_a_child_that_has_ended_is_ours_still(machine: Machine) -> None:
    machine.processes[20] = "child", ME, 4.0
    machine.write()
    with watched_others("", machine.root) as found:
        for file in sorted((machine.root / "20").rglob("*"), reverse=True):
            file.unlink() if file.is_file() else file.rmdir()
        (machine.root / "20").rmdir()
        del machine.processes[20]
        machine.uses(ME, 0.0)
        machine.processes[ME] = "pytest", 1, 10.0 + 4.0 + 3.0  # waited for: its time is its parent's now
        machine.busy += 3.0
        machine.write()
    assert found() == OtherWork(0.0, 2, 0.0)


def test_stolen_time_is_a_share_of_the_processors(machine: Machine) -> None:
    machine.write()
    with watched_others("", machine.root) as found:
        machine.stolen += 5.0
        machine.write()
    assert found() == OtherWork(0.0, 2, 0.25)


@pytest.mark.parametrize(
    "url", [f"http://localhost:{PORT}/v1", f"http://127.0.0.1:{PORT}/v1", f"http://[::1]:{PORT}/v1"]
)
def test_the_measured_server_on_this_machine_is_no_other(machine: Machine, url: str) -> None:
    machine.processes |= {40: ("vllm", 1, 5.0), 41: ("engine", 40, 5.0), 30: ("make", 1, 5.0)}
    machine.open[40] = "socket:[4711]"
    found = watched(machine, {40: 3.0, 41: 9.0, 30: 5.0}, url)
    assert found is not None
    assert found.busy_cores == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["docker-proxy", ""], ids=["forwards", "another user's"])
def test_a_server_whose_processes_are_hidden_leaves_it_unknown(machine: Machine, name: str) -> None:
    machine.processes[40] = name, 1, 5.0
    if name:
        machine.open[40] = "socket:[4711]"
    assert watched(machine, {40: 9.0}, f"http://localhost:{PORT}/v1") == OtherWork(None, 2, 0.0)


def test_a_server_elsewhere_has_no_processes_here(machine: Machine) -> None:
    machine.processes[40] = "mine", 1, 5.0
    machine.open[40] = "socket:[4711]"
    found = watched(machine, {40: 9.0}, f"https://example.org:{PORT}/v1")
    assert found is not None
    assert found.busy_cores == pytest.approx(0.9)


def test_a_worker_belongs_to_its_session(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    parent = os.getppid()
    machine.processes |= {parent: ("session", 1, 1.0), ME: ("worker", parent, 1.0), 50: ("server", parent, 1.0)}
    assert watched(machine, {ME: 9.0, 50: 9.0}) == OtherWork(0.0, 2, 0.0)


def test_a_short_time_and_a_system_without_such_files_tell_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(other_work, "MIN_SECONDS", 11.0)
    assert watched(machine, {ME: 1.0}) is None
    with watched_others("", tmp_path / "nothing") as found:
        pass
    assert found() is None


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="needs Linux's files")  # noqa: PTH110 - at import
def test_on_this_machine_it_is_a_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_work, "MIN_SECONDS", 0.05)
    with watched_others() as found:
        sum(number * number for number in range(3_000_000))
    other = found()
    assert other is not None
    assert other.busy_cores is not None
    assert 0 <= other.busy_cores <= other.cores + 1
    assert other.cores == len(os.sched_getaffinity(0))
