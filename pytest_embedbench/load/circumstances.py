"""Circumstances of a profile: number format and kernel, clocks, throttling, other load, and the GPU's state.

Each fact is read where the system allows it, and left out elsewhere: virtual machines hide clocks, containers hide
sensors, and NVML needs ``pynvml``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pytest_embedbench.core.bounded import Amount, Count
from pytest_embedbench.machine.energy import Energy, metered_energy
from pytest_embedbench.machine.other_work import watched_others

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import ModelFacts

GPU_POLL_SECONDS = 0.2
"""Seconds between two readings of the GPU's state."""


class GpuState(msgspec.Struct, frozen=True, kw_only=True):
    """State of the GPU while the profile ran, all its users together: peak memory, mean utilization, lowest clock."""

    memory_peak_bytes: Count
    utilization_percent: Amount
    lowest_mhz: Count


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """Circumstances that could be read; None or empty where they could not.

    ``load_before`` is the load average of the last minute before the profile: the work of others, unless it is near 0.
    ``mhz_before`` and ``mhz_after`` are means over the cores, ``throttled`` counts how often a core was slowed down for
    its heat, and ``withheld_ms`` is how long the container's CPU quota kept its threads from running.
    """

    device: str = ""
    dtype: str = ""
    attention: str = ""
    load_before: Amount | None = None
    governors: tuple[str, ...] = ()
    boost: bool | None = None
    mhz_before: Amount | None = None
    mhz_after: Amount | None = None
    most_mhz: Amount | None = None
    throttled: Count | None = None
    withheld_ms: Amount | None = None
    busy_cores: Amount | None = None
    """Cores that other processes kept busy meanwhile, of ``cores``; without the measured server's."""
    cores: Count | None = None
    """Processors that this process may use."""
    stolen_share: Amount | None = None
    """Share of these processors' time that the hypervisor gave to other machines."""
    gpu: GpuState | None = None
    energy: Energy | None = None
    """Energy that the machine took; None where the user did not ask for it."""


class CircumstancesRecorder:
    """Holder of a profile's circumstances, which are complete when ``record_circumstances`` has ended."""

    def __init__(self, facts: ModelFacts) -> None:
        self.circumstances = Circumstances(device=facts.device, dtype=facts.dtype, attention=facts.attention)


@contextmanager
def record_circumstances(
    facts: ModelFacts, root: Path = Path("/"), *, energy: bool = False, server_url: str = ""
) -> Iterator[CircumstancesRecorder]:
    """Record the circumstances of the profile that runs in the ``with`` block.

    Args:
        facts: the model's facts about itself.
        root: root of the system's files.
        energy: whether to measure energy too.
        server_url: address of the server that is measured; "" for a model in this process.
    """
    recorder, system = CircumstancesRecorder(facts), _SystemFiles(root)
    before = msgspec.structs.replace(
        recorder.circumstances,
        load_before=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,  # none on Windows
        governors=system.governors(),
        boost=system.boost(),
        mhz_before=system.mhz(),
        most_mhz=system.most_mhz(),
    )
    with metered_energy() if energy else nullcontext(lambda: None) as used:
        throttled, withheld = system.throttled(), system.withheld_ms()
        with _gpu(facts.device) as gpu, watched_others(server_url, root / "proc") as others:
            yield recorder
        other = others()
        # The clock is read first, while the cores are still at the speed of the work.
        after = msgspec.structs.replace(
            before,
            mhz_after=system.mhz(),
            throttled=_since(throttled, system.throttled()),
            withheld_ms=_since(withheld, system.withheld_ms()),
            busy_cores=other and other.busy_cores,
            cores=other and other.cores,
            stolen_share=other and other.stolen_share,
            gpu=gpu(),
        )
    recorder.circumstances = msgspec.structs.replace(after, energy=used())


class _SystemFiles:
    """Linux's files on processors (Documentation/ABI/testing/sysfs-devices-system-cpu) and cgroups."""

    def __init__(self, root: Path) -> None:
        self._cpus = root / "sys/devices/system/cpu"
        self._info = root / "proc/cpuinfo"
        # cgroup v2; inside a container, this is the container's own group.
        self._quota = root / "sys/fs/cgroup/cpu.stat"

    def governors(self) -> tuple[str, ...]:
        return tuple(sorted({_read(file) for file in self._cpus.glob("cpufreq/policy*/scaling_governor")}))

    def boost(self) -> bool | None:
        # The two drivers say the opposite of each other: Intel's file is 0 where boost is on.
        for file, on in (("cpufreq/boost", "1"), ("intel_pstate/no_turbo", "0")):
            if text := _read(self._cpus / file):
                return text == on
        return None

    def mhz(self) -> float | None:
        """Return the cores' mean clock, from cpufreq (which has kHz), else from /proc/cpuinfo.

        In a virtual machine, /proc/cpuinfo has the clock that the hypervisor claims.
        """
        clocks = [float(text) / 1000 for text in self._each("cpufreq/policy*/scaling_cur_freq")]
        if not clocks:
            lines = _read(self._info).splitlines()
            clocks = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
        return round(sum(clocks) / len(clocks), 1) if clocks else None

    def most_mhz(self) -> float | None:
        return max((float(text) / 1000 for text in self._each("cpufreq/policy*/cpuinfo_max_freq")), default=None)

    def throttled(self) -> int | None:
        counts = [int(text) for text in self._each("cpu*/thermal_throttle/core_throttle_count")]
        return sum(counts) if counts else None

    def withheld_ms(self) -> float | None:
        fields = dict(line.split(maxsplit=1) for line in _read(self._quota).splitlines() if " " in line)
        return float(fields["throttled_usec"]) / 1000 if "throttled_usec" in fields else None

    def _each(self, pattern: str) -> Iterator[str]:
        return filter(None, map(_read, self._cpus.glob(pattern)))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:  # no such file here, or no permission to read it
        return ""


def _since(before: float | None, after: float | None) -> int | None:
    return None if before is None or after is None else round(after - before)


@contextmanager
def _gpu(device: str) -> Iterator[Callable[[], GpuState | None]]:
    """Watch the GPU until the block ends; the yielded function then returns its state, None without a GPU or NVML."""
    if not device.startswith("cuda"):
        yield lambda: None
        return
    import torch

    readings: list[tuple[int, int, int]] = []
    over = threading.Event()

    def poll() -> None:
        while not over.is_set():
            try:
                # The whole device's memory, with that of other processes; torch's own counters have only this one's.
                free, total = torch.cuda.mem_get_info(device)
                readings.append((total - free, torch.cuda.utilization(device), torch.cuda.clock_rate(device)))
            except Exception:  # noqa: BLE001 - no pynvml, no driver, no permission: each raises a class of its own
                return
            over.wait(GPU_POLL_SECONDS)

    watcher = threading.Thread(target=poll, name="embedbench-gpu", daemon=True)
    watcher.start()
    try:
        yield lambda: _gpu_state(readings)
    finally:
        over.set()
        watcher.join()


def _gpu_state(readings: list[tuple[int, int, int]]) -> GpuState | None:
    if not readings:
        return None
    memory, utilization, clocks = zip(*readings, strict=True)
    return GpuState(
        memory_peak_bytes=max(memory), utilization_percent=sum(utilization) / len(readings), lowest_mhz=min(clocks)
    )
