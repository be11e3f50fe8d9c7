"""Progress bars during long work: tokens done, tokens/s and time left. Silent when nobody watches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.encode.loop import Silence

if TYPE_CHECKING:
    from _pytest.capture import CaptureManager
    from _pytest.terminal import TerminalReporter

    from pytest_embedbench.encode.loop import Progress


def progress_for(config: pytest.Config) -> Progress:
    """A bar where a person watches a terminal, else silence (pipes, CI logs, ``-q``, xdist workers)."""
    reporter: TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not reporter.isatty or config.get_verbosity() < 0:
        return Silence()
    return TerminalBar(reporter, config.pluginmanager.get_plugin("capturemanager"))


class TerminalBar:
    """A tqdm bar on a line of its own: pytest's current line is ended first, the bar is wiped when done."""

    def __init__(self, reporter: TerminalReporter, capture: CaptureManager | None) -> None:
        self._reporter, self._capture = reporter, capture
        self._bar: Any = None

    def write(self, text: str) -> None:
        """Write past pytest's capturing; tqdm calls this as the file it prints to."""
        if self._capture is None:
            self._reporter.write(text, flush=True)
            return
        with self._capture.global_and_fixture_disabled():
            self._reporter.write(text, flush=True)

    def flush(self) -> None:
        """Nothing is buffered."""

    def start(self, label: str, total: int) -> None:
        from tqdm import tqdm

        if self._capture is None:
            self._reporter.ensure_newline()
        else:
            with self._capture.global_and_fixture_disabled():
                self._reporter.ensure_newline()
        unit = "text" if label.endswith("load") else "tok"
        self._bar = tqdm(
            total=total, desc=label, unit=unit, unit_scale=True, leave=False, file=self, mininterval=0.5, ncols=80
        )

    def advance(self, tokens: int) -> None:
        self._bar.update(tokens)

    def finish(self) -> None:
        self._bar.close()
