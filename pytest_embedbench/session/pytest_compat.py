"""Parts of pytest that its documentation does not promise. No other module uses them.

``tests/session/test_pytest_compat.py`` fails when one is gone; until then each has a fallback.
"""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest


class Terminal:
    """pytest's terminal, for text that pytest itself should not capture or count."""

    def __init__(self, config: pytest.Config, reporter: pytest.TerminalReporter) -> None:
        self._reporter = reporter
        self._writer: Any = config.get_terminal_writer()
        self._capture: Any = config.pluginmanager.get_plugin("capturemanager")

    @property
    def column(self) -> int:
        """Characters in the current line; 0, as for an empty line, if pytest does not say."""
        return getattr(self._writer, "width_of_current_line", 0)

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return getattr(self._writer, "fullwidth", 0) or shutil.get_terminal_size().columns

    def write(self, text: str) -> None:
        """Write text now, also while pytest captures output, and without changing ``column``."""
        # pytest 8 has no write_raw: there, the column is wrong after a progress bar.
        write = getattr(self._reporter, "write_raw", self._reporter.write)
        with self._capturing_suspended():
            write(text, flush=True)

    def _capturing_suspended(self) -> AbstractContextManager[None]:
        # Without the method the text may end up in the captured output of a test, where it does no harm.
        suspended = getattr(self._capture, "global_and_fixture_disabled", nullcontext)
        context: AbstractContextManager[None] = suspended()
        return context
