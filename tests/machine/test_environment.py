"""Facts read from the machine: names, versions, memory."""

from __future__ import annotations

import platform
from importlib.metadata import version

import pytest

from pytest_embedbench.machine.environment import (
    cores,
    cpu_name,
    describe_environment,
    hardware_name,
    matches_hardware,
    peak_memory_bytes,
    short_hardware_name,
)


@pytest.mark.parametrize(
    ("wanted", "actual", "expected"),
    [
        ("L4", "NVIDIA L4", True),
        ("l4", "NVIDIA L4", True),
        ("nvidia l4", "NVIDIA L4", True),
        ("L4", "NVIDIA L40S", False),
        ("L40", "NVIDIA L40S", False),
        ("L40S", "NVIDIA L4", False),
        ("A100", "NVIDIA A100-SXM4-80GB", True),
        ("H100", "NVIDIA H100 80GB HBM3", True),
        ("H100 HBM3", "NVIDIA H100 80GB HBM3", True),
        ("AMD L4", "NVIDIA L4", False),
        ("EPYC", "AMD EPYC 7B13 (8 cores)", True),
        ("8 cores", "AMD EPYC 7B13 (8 cores)", True),
        ("4 cores", "AMD EPYC 7B13 (8 cores)", False),
    ],
)
def test_hardware_is_named_by_whole_words(wanted: str, actual: str, expected: bool) -> None:
    assert matches_hardware(wanted, actual) is expected


@pytest.mark.parametrize(
    ("actual", "short"),
    [
        ("NVIDIA L4", "L4"),
        ("AMD EPYC 7B13 (8 cores)", "EPYC 7B13"),
        ("NVIDIA H100 80GB HBM3", "H100 80GB HBM3"),
        ("NVIDIA A100-SXM4-80GB", "A100-SXM4-80GB"),
        ("NVIDIA", "NVIDIA"),
        ("AMD EPYC (2 cores)", "EPYC"),
        ("AMD EPYC Processor (16 cores)", "EPYC"),
        ("AMD EPYC 7763 64-Core Processor (4 cores)", "EPYC 7763"),
        ("AMD EPYC-Milan Processor (8 cores)", "EPYC-Milan"),
        ("AMD Ryzen 7 PRO 5850U with Radeon Graphics (16 cores)", "Ryzen 7 PRO 5850U"),
        ("AMD Instinct MI300X", "Instinct MI300X"),
        ("Intel(R) Xeon(R) Processor (16 cores)", "Intel Xeon"),
        ("Intel Xeon Processor (Skylake, IBRS) (4 cores)", "Intel Xeon"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz (2 cores)", "Intel Xeon"),
        ("Intel(R) Xeon(R) CPU E5-2673 v4 @ 2.30GHz (2 cores)", "Intel Xeon E5-2673 v4"),
        ("Intel(R) Xeon(R) Platinum 8488C (8 cores)", "Intel Xeon Platinum 8488C"),
        ("Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz (2 cores)", "Intel Xeon Platinum 8370C"),
        ("12th Gen Intel(R) Core(TM) i7-1260P (16 cores)", "12th Gen Intel Core i7-1260P"),
        ("Intel(R) Core(TM) i7-8700K CPU @ 3.70GHz (12 cores)", "Intel Core i7-8700K"),
        ("Neoverse-N1 (4 cores)", "Neoverse-N1"),
        ("aarch64 (4 cores)", "aarch64"),
        ("Apple M3 Pro (12 cores)", "Apple M3 Pro"),
        ("arm (10 cores)", "arm"),
        ("Processor (2 cores)", "Processor (2 cores)"),
    ],
)
def test_cards_write_hardware_without_what_says_nothing(actual: str, short: str) -> None:
    assert short_hardware_name(actual) == short


def test_this_machine() -> None:
    result = describe_environment("cpu")
    assert result.hardware == hardware_name("cpu") == f"{cpu_name()} ({cores()} cores)"
    assert cpu_name()
    assert result.cores == cores() >= 1
    assert matches_hardware(cpu_name(), result.hardware)
    assert (result.python, result.system) == (platform.python_version(), platform.platform())
    assert result.libraries["numpy"] == version("numpy")
    assert result.libraries["torch"] == version("torch")
    assert result.driver == ""


def test_peak_memory_is_in_bytes_and_never_falls() -> None:
    before = peak_memory_bytes("cpu")
    block = bytearray(8 * 2**20)
    after = peak_memory_bytes("cpu")
    assert set(before) == set(after) == {"process"}
    assert 10 * 2**20 < before["process"] <= after["process"] < 2**50
    assert len(block) == 8 * 2**20
