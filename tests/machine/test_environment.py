"""The machine speaks for itself: names, versions, memory."""

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
        ("NVIDIA", "NVIDIA"),
    ],
)
def test_cards_write_hardware_without_vendor_and_cores(actual: str, short: str) -> None:
    assert short_hardware_name(actual) == short


def test_this_machine() -> None:
    found = describe_environment("cpu")
    assert found.hardware == hardware_name("cpu") == f"{cpu_name()} ({cores()} cores)"
    assert cpu_name()
    assert found.cores == cores() >= 1
    assert matches_hardware(cpu_name(), found.hardware)
    assert (found.python, found.system) == (platform.python_version(), platform.platform())
    assert found.libraries["numpy"] == version("numpy")
    assert found.libraries["torch"] == version("torch")
    assert found.driver == ""


def test_peak_memory_is_in_bytes_and_never_falls() -> None:
    before = peak_memory_bytes("cpu")
    block = bytearray(8 * 2**20)
    after = peak_memory_bytes("cpu")
    assert set(before) == set(after) == {"process"}
    assert 10 * 2**20 < before["process"] <= after["process"] < 2**50
    assert len(block) == 8 * 2**20
