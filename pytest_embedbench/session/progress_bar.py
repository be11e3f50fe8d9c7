"""Progress bars for long work: tokens done, tokens/s and time left; shown only where a person watches a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.session.pytest_compat import Terminal

if TYPE_CHECKING:
    import pytest

    from pytest_embedbench.encode.progress import Progress

MAX_WIDTH = 90
"""Columns of a bar; it is narrower in a narrow terminal."""


def progress_for(config: pytest.Config) -> Progress:
    """Return a progress bar; one that prints nothing for pipes, CI logs, ``-q`` and xdist's workers."""
    reporter: pytest.TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not reporter.isatty or config.get_verbosity() < 0:
        return SilentProgress()
    return TerminalBar(Terminal(config, reporter))


class TerminalBar:
    """A tqdm bar below pytest's current line; afterwards it is erased, and the cursor returns to its old position."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._column = 0
        self._bar: Any = None
        self._label = ""

    def write(self, text: str) -> None:
        """Write to the terminal, past pytest's capturing and column count; tqdm uses this object as its file."""
        self._terminal.write(text)

    def flush(self) -> None:
        """Do nothing: ``write`` buffers nothing."""

    def start(self, label: str, total: int) -> None:
        from tqdm import tqdm

        self._column = self._terminal.column
        if self._column:
            self.write("\n")
        # Load profiles count texts, encoding counts tokens; the label alone tells them apart.
        self._label = label
        unit = "text" if label.endswith("load") else "tok"
        # The width is given, since tqdm asks for a terminal's only if it writes to stdout or stderr itself. One column
        # is left free: a line as wide as the terminal may begin another one, which would not be erased.
        width = min(MAX_WIDTH, self._terminal.width - 1)
        self._bar = tqdm(
            total=total,
            desc=label,
            unit=unit,
            unit_scale=unit == "tok",
            leave=False,
            file=self,
            mininterval=0.5,
            ncols=width,
        )

    def expect(self, total: int) -> None:
        self._bar.total = total

    def relabel(self, line: str) -> bool:
        """Show a line in place of the label, "" for the label again; False if no bar is shown."""
        if self._bar is None:
            return False
        self._bar.set_description_str(f"{line or self._label}: ")
        return True

    def count(self, texts: int, total: int) -> None:
        self._bar.set_postfix_str(f"{texts:,} of {total:,} texts", refresh=False)

    def advance(self, tokens: int) -> None:
        self._bar.update(tokens)

    def finish(self) -> None:
        self._bar.close()
        self._bar = None
        if self._column:
            # ESC[A: one row up. ESC[nC: n columns right, behind pytest's text, whose last row may be a wrapped one.
            self.write(f"\x1b[A\x1b[{(self._column - 1) % self._terminal.width + 1}C")
