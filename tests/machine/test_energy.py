"""Energy of a profile: metered on request, offline, and an error where codecarbon is missing."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

import pytest

from pytest_embedbench.load.circumstances import record_circumstances
from pytest_embedbench.machine.energy import missing_extra
from pytest_embedbench.models.protocol import ModelFacts

CPU = ModelFacts(device="cpu")


def test_nobody_asked(tmp_path: Path) -> None:
    before = "codecarbon" in sys.modules
    with record_circumstances(CPU, tmp_path) as watch:
        pass
    assert watch.circumstances.energy is None
    assert ("codecarbon" in sys.modules) == before


def test_a_missing_extra_ends_the_session(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", None)  # importing it fails
    assert missing_extra() == "pip install 'pytest-embedbench[energy]'"
    result = pytester.runpytest_inprocess("--embed-energy")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--embed-energy: codecarbon is not installed", "  fix: pip install *energy*"])


def test_energy_is_metered_without_a_network_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's configuration of codecarbon does not change that."""
    pytest.importorskip("codecarbon", reason="needs the extra energy")
    work = tmp_path / "work"
    work.mkdir()
    (work / ".codecarbon.config").write_text("[codecarbon]\nsave_to_file=true\noutput_methods=csv,api\n", "utf-8")
    monkeypatch.chdir(work)
    monkeypatch.setenv("CODECARBON_SAVE_TO_API", "true")
    monkeypatch.setenv("CODECARBON_API_KEY", "key")
    monkeypatch.setenv("CODECARBON_CO2_SIGNAL_API_TOKEN", "token")
    calls = []

    def refuse(*arguments: object, **_: object) -> None:
        calls.append(arguments)
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with record_circumstances(CPU, tmp_path, energy=True) as watch:
        end = time.monotonic() + 1
        while time.monotonic() < end:
            pass
    result = watch.circumstances.energy
    assert result is not None
    assert result.kwh > 0
    assert result.kwh == pytest.approx(result.cpu_kwh + result.gpu_kwh + result.memory_kwh)
    assert result.seconds >= 1
    assert calls == []
    assert [path.name for path in work.iterdir()] == [".codecarbon.config"]
