"""Waits in a log: few lines, and none for short waits."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_embedbench.session.wait_line import wait_line_for

if TYPE_CHECKING:
    import pytest


def lines(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[str]:
    """Return what a session without a terminal writes while it waits for 11, 5 and 200 seconds."""
    from pytest_embedbench.encode.progress import SilentProgress

    config = pytester.parseconfigure(*arguments)
    show = wait_line_for(config, SilentProgress())
    written: list[str] = []
    if show is None:
        return written
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    monkeypatch.setattr(reporter, "write_line", written.append)
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for seconds in (11, 5, 200):
        for second in range(seconds):
            now += 1
            show(f"{second} s of {seconds} s")
        show("")
    return written


def test_a_log_has_a_line_after_ten_seconds_and_every_minute(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = lines(pytester, monkeypatch)
    assert written == ["10 s of 11 s", *(f"{second} s of 200 s" for second in (10, 70, 130, 190))]


def test_quiet_sessions_say_nothing(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lines(pytester, monkeypatch, "-q") == []
