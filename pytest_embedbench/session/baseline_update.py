"""``--embed-update-baseline``: collect the scores of pairs, and write them as baseline when the session ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_embedbench.errors import EmbedbenchError
from pytest_embedbench.results.baseline import BaselineEntry, update_file

if TYPE_CHECKING:
    from collections.abc import Generator

FINISHED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
"""Exit codes after which the baseline is written; failed checks do not prevent that, as the user asked for it."""


class BaselineUpdate:
    """A pytest plugin that writes the baseline; with xdist, workers send entries in reports and the controller writes.

    Pairs that were evaluated completely get a new entry. A pair whose model or dataset failed keeps its old one.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._writes = not hasattr(config, "workerinput")
        self._entries: dict[Path, dict[tuple[str, str], BaselineEntry]] = {}
        self._twice: dict[Path, str] = {}
        """Baseline -> a pair that stands for different models or data in two suites."""
        self._lines: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, pytest.TestReport]:
        report: pytest.TestReport = yield
        if call.when == "call" and (measured := getattr(item, "baseline_entry", None)):
            path, entry = measured
            # xdist sends a report's attributes to the controller, if they are plain data such as these strings.
            # It is not a user property, because junit files would show that.
            vars(report)["embedbench_baseline"] = [str(path), msgspec.json.encode(entry).decode()]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._writes and (measured := getattr(report, "embedbench_baseline", None)):
            entry = msgspec.json.decode(measured[1], type=BaselineEntry)
            entries, names = self._entries.setdefault(Path(measured[0]), {}), (entry.model, entry.dataset)
            # Suites that share a baseline may give one name to different models or datasets.
            if (earlier := entries.get(names)) and (earlier.fingerprints, earlier.name) != (
                entry.fingerprints,
                entry.name,
            ):
                self._twice.setdefault(Path(measured[0]), f"{entry.model} on {entry.dataset}")
            entries[names] = entry

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if not self._writes:
            return
        if exitstatus not in FINISHED:
            self._lines.append("not written: the run was not finished")
        elif not self._entries:
            self._lines.append("not written: no regression item of a suite was run to its end")
        for path, entries in self._entries.items() if exitstatus in FINISHED else ():
            if pair := self._twice.get(path):
                problem = f"two suites have a different {pair}"
                self._lines.append(f"not written: {path}: {problem}; give one a name or a baseline of its own")
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
                continue
            # Suites may have different baselines; a file that cannot be written must not stop the others.
            try:
                self._lines += [f"written: {path}", *update_file(path, list(entries.values()))]
            except EmbedbenchError as error:
                self._lines.append(f"not written: {error}")
                # The user asked for the file, so a session that could not write it must not pass.
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        # Last of all hooks, so that the lines stand below the verdict table.
        for line in self._lines if self._writes else ():
            terminalreporter.write_line(f"baseline: {line}")
