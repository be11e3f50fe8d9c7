"""Parts of pytest that session/pytest_compat.py uses still exist, and without them its fallbacks work."""

from __future__ import annotations

import shutil
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_embedbench.session.pytest_compat import RootFolder, Terminal, first_paths, root_folder


class Reporter:
    """A terminal reporter that keeps what is written."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def write(self, text: str, *, flush: bool = False) -> None:
        assert flush
        self.texts.append(text)


def bare_terminal(reporter: Any) -> Terminal:
    """Return a terminal of a pytest that has lost all that may be lost."""
    manager = SimpleNamespace(get_plugin=lambda _: None)
    config: Any = SimpleNamespace(get_terminal_writer=SimpleNamespace, pluginmanager=manager)
    return Terminal(config, reporter)


def test_pytest_has_what_is_used(pytestconfig: pytest.Config) -> None:
    writer: Any = pytestconfig.get_terminal_writer()
    assert writer.width_of_current_line >= 0, "gone: a progress bar starts in pytest's current line"
    assert writer.fullwidth > 0, "gone: the terminal's size is asked instead"
    capture: Any = pytestconfig.pluginmanager.get_plugin("capturemanager")
    assert callable(capture.global_and_fixture_disabled), "gone: bars may be captured"
    reporter: Any = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:  # xdist's workers have none
        assert bool(reporter.isatty) in {True, False}
        assert callable(reporter.write)


def test_text_is_written_without_them() -> None:
    reporter = Reporter()
    terminal = bare_terminal(reporter)
    terminal.write("a bar")
    assert reporter.texts == ["a bar"]
    assert (terminal.column, terminal.width) == (0, shutil.get_terminal_size().columns)


def test_the_column_stays_where_pytest_counts_all_text(pytestconfig: pytest.Config) -> None:
    writer = SimpleNamespace(_current_line="a line", width_of_current_line=6)

    class Counting(Reporter):
        """A reporter of pytest 8, which has no ``write_raw``."""

        def write(self, text: str, *, flush: bool = False) -> None:
            super().write(text, flush=flush)
            writer._current_line += text

    manager = SimpleNamespace(get_plugin=lambda _: None)
    config: Any = SimpleNamespace(get_terminal_writer=lambda: writer, pluginmanager=manager)
    reporter: Any = Counting()
    Terminal(config, reporter).write("\rthe bar")
    assert reporter.texts == ["\rthe bar"]
    assert writer._current_line == "a line"


def test_pytest_says_how_it_chooses_its_root_folder(pytestconfig: pytest.Config) -> None:
    paths = first_paths(["-q", "tests", "--unknown-option", "models/mine", "-k", "word"])
    assert sorted(paths or ()) == ["models/mine", "tests"], "gone: options that move the root folder are not found"
    here = RootFolder(pytestconfig.rootpath, pytestconfig.inipath)
    assert root_folder(pytestconfig, [str(pytestconfig.rootpath / "tests")]) == here


def test_no_root_folder_is_known_without_them(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("_pytest.config.get_config")
    monkeypatch.delattr("_pytest.config.findpaths.determine_setup")
    assert first_paths(["tests"]) is None
    assert root_folder(pytestconfig, ["tests"]) is None
