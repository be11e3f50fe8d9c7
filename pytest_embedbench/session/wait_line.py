"""Show what a session waits for: a line that keeps up with the time in a terminal, single lines in a log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pytest_embedbench.session.pytest_compat import Terminal

if TYPE_CHECKING:
    import pytest

    from pytest_embedbench.core.waits import Listener
    from pytest_embedbench.encode.progress import Progress

LOG_AFTER_SECONDS, LOG_EVERY_SECONDS = 10.0, 60.0
"""Seconds; a log gets a line once a wait is as long as the first, and then as often as the second says."""


def wait_line_for(config: pytest.Config, progress: Progress) -> Listener | None:
    """Return what shows waits; None with ``-q`` and in xdist's workers, which have no terminal.

    Args:
        config: the session's.
        progress: its progress bar, which takes the line while it is shown.
    """
    reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.get_verbosity() < 0:
        return None
    terminal = Terminal(config, reporter)
    return _TerminalLine(terminal, progress).show if reporter.isatty else _LogLines(terminal).show


class _TerminalLine:
    """A line below pytest's current one, or in place of a progress bar's label; it is erased afterwards."""

    def __init__(self, terminal: Terminal, progress: Progress) -> None:
        self._terminal, self._bar = terminal, getattr(progress, "relabel", None)
        self._column: int | None = None

    def show(self, line: str) -> None:
        if self._column is None and self._bar is not None and self._bar(line):
            return
        if line and self._column is None:
            self._column = self._terminal.column
            self._terminal.write("\n" if self._column else "")
        if self._column is not None:
            # ESC[K: erase to the end of the row. A row that is full would wrap.
            self._terminal.write(f"\r{line[: self._terminal.width - 1]}\x1b[K")
        if not line and self._column is not None:
            if self._column:
                # ESC[A: one row up. ESC[nC: n columns right, behind pytest's text, whose last row may be a wrapped one.
                self._terminal.write(f"\x1b[A\x1b[{(self._column - 1) % self._terminal.width + 1}C")
            self._column = None


class _LogLines:
    """Lines of their own, few of them."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._since = self._next = 0.0

    def show(self, line: str) -> None:
        now = time.monotonic()
        if not line:
            self._since = 0.0
        elif not self._since:
            self._since, self._next = now, now + LOG_AFTER_SECONDS
        elif now >= self._next:
            self._next = now + LOG_EVERY_SECONDS
            self._terminal.write_line(line)
