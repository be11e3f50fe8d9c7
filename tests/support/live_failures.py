"""Print each failure when it happens; pytest alone shows them at the end of the run, half an hour later."""

from __future__ import annotations

import pytest


class LiveFailures:
    """Writes a failed test's report to the terminal as soon as it arrives, also from a worker of pytest-xdist."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.write_line("")
            self._terminal.section(f"{report.when} of {report.nodeid} failed", sep="!", red=True)
            self._terminal.write_line(report.longreprtext)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    # Workers have no terminal of their own: their reports arrive in the main process.
    if terminal := config.pluginmanager.get_plugin("terminalreporter"):
        config.pluginmanager.register(LiveFailures(terminal), "live-failures")
