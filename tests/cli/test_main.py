"""The command as a module, and how its errors are shown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pytest_embedbench import __version__
from pytest_embedbench.cli import main
from pytest_embedbench.cli.errors import ErrorGroup, set_error_exit_code
from pytest_embedbench.errors import ConfigurationError, EmbedbenchError


def as_module(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest_embedbench", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_package_runs_as_a_module(tmp_path: Path) -> None:
    done = as_module(tmp_path, "list", "--help")
    assert done.stdout.startswith("Usage: python -m pytest_embedbench list ")
    failed = as_module(tmp_path, "show", "nothing-of-this-name")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.startswith("Error: embedbench show: the catalogue has no 'nothing-of-this-name'")


def test_the_version_has_the_commands_name() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"embedbench, version {__version__}\n"


def test_every_command_has_a_line_that_is_not_cut() -> None:
    lines = CliRunner().invoke(main, ["--help"], terminal_width=80).output.partition("Commands:\n")[2].splitlines()
    assert len(lines) == len(main.commands)
    assert [line for line in lines if line.endswith("...")] == []


@click.group(cls=ErrorGroup)
def group() -> None:
    pass


@group.group("inner")
def inner() -> None:
    pass


@inner.command("configured")
def configured() -> None:
    raise ConfigurationError("suite: key", "is wrong", "write it right")


@inner.command("unreadable")
@click.pass_context
def unreadable(context: click.Context) -> None:
    set_error_exit_code(context, 2)
    raise EmbedbenchError("cannot be read", where="file")


@inner.command("value")
def value() -> None:
    raise ValueError("'x' is not a metric")


@pytest.mark.parametrize(
    ("command", "code", "output"),
    [
        ("configured", 1, "Error: suite: key: is wrong\n  fix: write it right\n"),
        ("unreadable", 2, "Error: file: cannot be read\n"),
        ("value", 1, "Error: 'x' is not a metric\n"),
    ],
)
def test_errors_of_any_command_are_one_message(command: str, code: int, output: str) -> None:
    done = CliRunner().invoke(group, ["inner", command])
    assert (done.exit_code, done.output) == (code, output)
