"""Options whose value pytest took for a test path, so that it left the project's root folder and ini file.

pytest chooses its root folder before it knows the options of plugins. In ``--embed-model`` and then ``models/mine`` it
takes the second word for a test path, if it exists.
"""

from __future__ import annotations

import os
import shlex
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.session.options import takes_value
from pytest_embedbench.session.pytest_compat import RootFolder, first_paths, root_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

ENVIRONMENT = "PYTEST_ADDOPTS"
"""Variable whose options pytest puts before those of the command line."""


class Value(NamedTuple):
    """An option of ours and its value, which stands after a space."""

    option: str
    text: str


def refuse_moved_root_folder(config: pytest.Config) -> None:
    """Refuse a command line in which a value of ours has moved pytest's root folder or changed its ini file.

    Options in an ini file are read after the root folder is chosen, and so are harmless.

    Raises:
        ConfigurationError: it has; the fix is the whole command, written so that it cannot.
    """
    given = list(config.invocation_params.args)
    added = shlex.split(os.environ.get(ENVIRONMENT, ""))
    values = [*_spaced_values(added, config), *_spaced_values(given, config)]
    if not any((config.invocation_params.dir / value.text).exists() for value in values):
        return
    paths = first_paths([*added, *given])
    if paths is None:
        return
    actual = RootFolder(config.rootpath, config.inipath)
    meant = root_folder(config, _without(paths, values))
    if meant is None or meant == actual:
        return
    # Only the values that move the root folder by themselves are named, or all if it takes several of them.
    guilty = [
        value for value in values if root_folder(config, _without(paths, [v for v in values if v != value])) != meant
    ]
    names = " and ".join(f"{option} {shlex.quote(text)}" for option, text in dict.fromkeys(guilty or values))
    raise ConfigurationError(names, f"pytest took the value for a test path, and {_loss(meant, actual)}", _fix(config))


def _spaced_values(arguments: Sequence[str], config: pytest.Config) -> list[Value]:
    """Return the values of our options that stand in an argument of their own."""
    return [Value(option, text) for option, text in pairwise(arguments) if takes_value(config, option)]


def _without(paths: Sequence[str], values: Sequence[Value]) -> list[str]:
    """Return the paths without one occurrence of each value: it may be given as a test path too."""
    left = list(paths)
    for value in values:
        if value.text in left:
            left.remove(value.text)
    return left


def _loss(meant: RootFolder, actual: RootFolder) -> str:
    moved = f"moved its root folder from {meant.path} to {actual.path}"
    if meant.ini_file == actual.ini_file:
        return moved
    # An ini file decides more than the folder does: options, markers, test paths.
    return f"does not read {meant.ini_file}" if meant.ini_file else f"reads the settings in {actual.ini_file}"


def _fix(config: pytest.Config) -> str:
    """Return the command with ``=`` between each of our options and its value."""
    program = "python -m pytest" if Path(sys.argv[0]).name == "__main__.py" else "pytest"
    command = f"{program} {shlex.join(_joined(config.invocation_params.args, config))}".rstrip()
    added = shlex.split(os.environ.get(ENVIRONMENT, ""))
    if _spaced_values(added, config):
        command = f"{ENVIRONMENT}={shlex.quote(shlex.join(_joined(added, config)))} {command}"
    return f"write = before the value: {command}"


def _joined(arguments: Sequence[str], config: pytest.Config) -> list[str]:
    joined: list[str] = []
    for argument in arguments:
        if joined and takes_value(config, joined[-1]):
            joined[-1] += f"={argument}"
        else:
            joined.append(argument)
    return joined
