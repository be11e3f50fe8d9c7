"""Circumstances of a profile, read from a system's files and from a fake GPU."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec
import pytest
import torch

from pytest_embedbench.load.circumstances import Circumstances, GpuState, record_circumstances
from pytest_embedbench.models.protocol import ModelFacts

if TYPE_CHECKING:
    from pathlib import Path

CPU = ModelFacts(device="cpu", dtype="bf16", attention="sdpa, packed")


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")


def cpu(name: str) -> str:
    return f"sys/devices/system/cpu/{name}"


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """Return the files of a machine that shows everything."""
    for core in (0, 1):
        policy = f"cpufreq/policy{core}"
        write(
            tmp_path,
            **{
                cpu(f"{policy}/scaling_governor"): "powersave",
                cpu(f"{policy}/scaling_cur_freq"): str(2_000_000 + core * 1_000_000),
                cpu(f"{policy}/cpuinfo_max_freq"): "3500000",
                cpu(f"cpu{core}/thermal_throttle/core_throttle_count"): "7",
            },
        )
    write(
        tmp_path, **{cpu("intel_pstate/no_turbo"): "1", "sys/fs/cgroup/cpu.stat": "nr_periods 9\nthrottled_usec 5000"}
    )
    return tmp_path


def test_clocks_and_throttling_where_they_can_be_read(server: Path) -> None:
    with record_circumstances(CPU, server) as watch:
        write(
            server,
            **{
                cpu("cpufreq/policy0/scaling_cur_freq"): "1500000",
                cpu("cpu1/thermal_throttle/core_throttle_count"): "10",
                "sys/fs/cgroup/cpu.stat": "nr_periods 12\nthrottled_usec 125000",
            },
        )
    result = msgspec.structs.replace(watch.circumstances, load_before=None)
    assert result == Circumstances(
        device="cpu",
        dtype="bf16",
        attention="sdpa, packed",
        governors=("powersave",),
        boost=False,
        mhz_before=2500,
        mhz_after=2250,
        most_mhz=3500,
        throttled=3,
        withheld_ms=120,
    )


def test_a_virtual_machine_gives_one_clock_and_a_bare_folder_nothing(tmp_path: Path) -> None:
    with record_circumstances(CPU, tmp_path) as watch:
        pass
    assert msgspec.structs.replace(watch.circumstances, load_before=None) == Circumstances(
        device="cpu", dtype="bf16", attention="sdpa, packed"
    )
    write(tmp_path, **{"proc/cpuinfo": "processor : 0\ncpu MHz\t\t: 2400.0\nprocessor : 1\ncpu MHz\t\t: 2600.0"})
    with record_circumstances(CPU, tmp_path) as watch:
        pass
    assert (watch.circumstances.mhz_before, watch.circumstances.mhz_after) == (2500, 2500)


def test_this_machine_can_be_read() -> None:
    with record_circumstances(CPU) as watch:
        pass
    assert watch.circumstances.load_before is None or watch.circumstances.load_before >= 0
    assert msgspec.json.decode(msgspec.json.encode(watch.circumstances), type=Circumstances) == watch.circumstances


def test_the_gpu_is_looked_at_until_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([(10, 20, 1500), (40, 60, 900), (30, 100, 1200)])
    enough = threading.Event()
    state = [0, 0, 0]

    def memory(device: str) -> tuple[int, int]:
        assert device == "cuda:1"
        try:
            state[:] = next(looks)
        except StopIteration:
            enough.set()
            raise RuntimeError("the driver is gone") from None
        return 100 - state[0], 100

    monkeypatch.setattr("pytest_embedbench.load.circumstances.GPU_POLL_SECONDS", 0.001)
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)
    monkeypatch.setattr(torch.cuda, "utilization", lambda device: state[1])
    monkeypatch.setattr(torch.cuda, "clock_rate", lambda device: state[2])
    with record_circumstances(ModelFacts(device="cuda:1"), tmp_path) as watch:
        assert enough.wait(30)
    assert watch.circumstances.gpu == GpuState(memory_peak_bytes=40, utilization_percent=60, lowest_mhz=900)
    assert not [thread for thread in threading.enumerate() if thread.name == "embedbench-gpu"]


def test_without_nvml_there_is_no_gpu_state_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(device: str) -> int:
        raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed")

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (50, 100))
    monkeypatch.setattr(torch.cuda, "utilization", missing)
    with record_circumstances(ModelFacts(device="cuda"), tmp_path) as watch:
        pass
    assert watch.circumstances.gpu is None
