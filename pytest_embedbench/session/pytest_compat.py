"""Parts of pytest that its documentation does not promise. No other module uses them.

``tests/session/test_pytest_compat.py`` fails when one is gone; until then each has a fallback.
"""

from __future__ import annotations

import copy
import inspect
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class RootFolder(NamedTuple):
    """pytest's root folder and its ini file."""

    path: Path
    ini_file: Path | None


def first_paths(arguments: Sequence[str]) -> list[str] | None:
    """Return what pytest takes for test paths before it knows the options of plugins; None if pytest does not say.

    From these it chooses its root folder.
    """
    try:
        from _pytest.config import get_config

        # A configuration as it is before plugins are loaded; nothing is collected or run with it.
        blank: Any = get_config(list(arguments))
        known, unknown = blank._parser.parse_known_and_unknown_args(arguments, copy.copy(blank.option))  # noqa: SLF001
        return [*known.file_or_dir, *(argument for argument in unknown if not argument.startswith("-"))]
    except (ImportError, AttributeError, TypeError):
        return None


def root_folder(config: pytest.Config, paths: Sequence[str]) -> RootFolder | None:
    """Return the root folder that pytest chooses for these test paths; None if pytest does not say."""
    try:
        from _pytest.config.findpaths import determine_setup

        choose: Any = determine_setup
        more = {"override_ini": None} if "override_ini" in inspect.signature(choose).parameters else {}
        path, ini_file, *_ = choose(
            inifile=config.option.inifilename,
            args=list(paths),
            rootdir_cmd_arg=config.option.rootdir or None,
            invocation_dir=config.invocation_params.dir,
            **more,
        )
        return RootFolder(path, ini_file)
    except (ImportError, AttributeError, TypeError):
        return None


def without_traceback(
    excinfo: pytest.ExceptionInfo[BaseException], path: Path, *, one_line: str = "", own: str = ""
) -> Any:
    """Return what pytest shows of an error: its text, and where it "crashed", as the short summary and junit want it.

    Args:
        excinfo: the error.
        path: the file that the error is about.
        one_line: the start of the line where pytest shows only one (``--tb=line``); "" where it shows the whole text.
        own: a start of the text that the short summary, which has little room, leaves out.
    """
    text = str(excinfo.value)
    shown: Any = excinfo.getrepr(style="value", chain=False)  # the text says what the causes say
    try:
        # pytest's own place is the line that raised the error, with the name of its class.
        place = shown.reprcrash
        message = f"{one_line}{text}" if one_line else text.removeprefix(own)
        place.path, place.lineno, place.message = str(path), 1, message
        if one_line:
            shown.reprtraceback.reprentries[-1].lines = []
    except (AttributeError, IndexError):
        return text
    return shown


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

    def painted(self, text: str, markup: Mapping[str, bool]) -> str:
        """Return the text in colour where pytest uses colours (``--color``); as it is if pytest cannot say."""
        paint = getattr(self._writer, "markup", None)
        return str(paint(text, **markup)) if paint else text

    def write(self, text: str) -> None:
        """Write text now, also while pytest captures output, and without changing ``column``."""
        write = getattr(self._reporter, "write_raw", self._reporter.write)
        line = getattr(self._writer, "_current_line", None)
        with self._capturing_suspended():
            write(text, flush=True)
        # pytest 8 has no write_raw, and counts all text as part of its current line.
        if line is not None:
            self._writer._current_line = line  # noqa: SLF001

    def write_line(self, text: str) -> None:
        """Write a line of its own; pytest names the current file again before its next word."""
        with self._capturing_suspended():
            self._reporter.write_line(text)

    def _capturing_suspended(self) -> AbstractContextManager[None]:
        # Without the method the text may end up in the captured output of a test, where it does no harm.
        suspended = getattr(self._capture, "global_and_fixture_disabled", nullcontext)
        context: AbstractContextManager[None] = suspended()
        return context
