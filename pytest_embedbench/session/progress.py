"""Progress bars during long work: tokens done, tokens/s and time left. Silent when nobody watches."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.encode.progress import SilentProgress

if TYPE_CHECKING:
    from _pytest._io import TerminalWriter
    from _pytest.capture import CaptureManager
    from _pytest.terminal import TerminalReporter

    from pytest_embedbench.encode.progress import Progress


def progress_for(config: pytest.Config) -> Progress:
    """A bar where a person watches a terminal, else silence (pipes, CI logs, ``-q``, xdist workers)."""
    reporter: TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not reporter.isatty or config.get_verbosity() < 0:
        return SilentProgress()
    return TerminalBar(reporter, config.get_terminal_writer(), config.pluginmanager.get_plugin("capturemanager"))


class TerminalBar:
    """A tqdm bar below pytest's current line. When done it is wiped, and the cursor goes back to where it was."""

    def __init__(self, reporter: TerminalReporter, writer: TerminalWriter, capture: CaptureManager | None) -> None:
        self._reporter, self._writer, self._capture = reporter, writer, capture
        self._column = 0
        self._bar: Any = None

    def write(self, text: str) -> None:
        """Write past pytest's capturing and its account of the current line; tqdm calls this as its file."""
        # pytest 8 has no write_raw; there, its account of the line is off after a bar.
        write = getattr(self._reporter, "write_raw", self._reporter.write)
        with self._capture.global_and_fixture_disabled() if self._capture else nullcontext():
            write(text, flush=True)

    def flush(self) -> None:
        """Nothing is buffered."""

    def start(self, label: str, total: int) -> None:
        from tqdm import tqdm

        self._column = self._writer.width_of_current_line
        if self._column:
            self.write("\n")
        unit = "text" if label.endswith("load") else "tok"
        self._bar = tqdm(
            total=total, desc=label, unit=unit, unit_scale=True, leave=False, file=self, mininterval=0.5, ncols=80
        )

    def expect(self, total: int) -> None:
        self._bar.total = total

    def advance(self, tokens: int) -> None:
        self._bar.update(tokens)

    def finish(self) -> None:
        self._bar.close()
        if self._column:
            # One line up and to the column behind what stands there; a long line goes on in the next row.
            self.write(f"\x1b[A\x1b[{(self._column - 1) % self._writer.fullwidth + 1}C")
