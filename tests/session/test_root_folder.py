"""A value of ours that pytest took for a test path is one usage error, with the command that works; nothing else is."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    """Return a project with an ini file; a model, data and files of ours lie in folders of their own."""
    root = pytester.path
    for name in ("project/tests", "project/data", "models/mine", "board"):
        (root / name).mkdir(parents=True)
    (root / "project" / "pytest.ini").write_text("[pytest]\nmarkers = mine: read from here\n", "utf-8")
    (root / "project" / "tests" / "test_own.py").write_text(
        "import pytest\n\n@pytest.mark.mine\ndef test_own(pytestconfig):\n"
        "    assert pytestconfig.inipath.name == 'pytest.ini'\n",
        "utf-8",
    )
    (root / "models" / "mine" / "config.json").write_text("{}", "utf-8")
    for file in ("suite.toml", "base.json", "card.md.j2"):
        (root / "models" / file).write_text("", "utf-8")
    return root


def run(pytester: pytest.Pytester, folder: Path, *arguments: str) -> tuple[int, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = pytester.runpytest_inprocess("--co", "-q", *arguments)
    return int(result.ret), result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--embed-model", "../models/mine"),
        ("--embed-dataset", "../models"),
        ("--embed-suite", "../models/suite.toml"),
        ("--embed-baseline", "../models/base.json"),
        ("--embed-results", "../board"),
        ("--embed-card", "../board"),
        ("--embed-card-template", "../models/card.md.j2"),
        ("--embed-leaderboard", "../board"),
        ("--embed-summary", "../models/base.json"),
        ("--embed-cache", "../board"),
    ],
)
def test_a_path_after_a_space_is_one_error_with_the_command(
    pytester: pytest.Pytester, folder: Path, option: str, value: str
) -> None:
    code, text = run(pytester, folder / "project", option, value, "--embed-profile", "b1 c1", "-k", "x")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert text.count("ERROR") == 1
    assert f"{option} {value}: pytest took the value for a test path" in text
    assert f"does not read {folder / 'project' / 'pytest.ini'}" in text
    command = re.search(r"fix: write = before the value: (?:python -m )?pytest (.*)", text)
    assert command
    assert shlex.split(command[1]) == ["--co", "-q", f"{option}={value}", "--embed-profile=b1 c1", "-k", "x"]
    assert not (folder / "board" / "embedbench-out").exists()


def test_only_the_values_that_moved_it_are_named(pytester: pytest.Pytester, folder: Path) -> None:
    (folder / "models" / "pytest.ini").write_text("[pytest]\n", "utf-8")
    code, text = run(pytester, folder / "project", "--embed-model", "../models/mine", "--embed-dataset", "data")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --embed-model ../models/mine: pytest" in text
    assert "--embed-model=../models/mine --embed-dataset=data" in text


def test_a_settings_file_that_the_user_did_not_mean(pytester: pytest.Pytester, folder: Path) -> None:
    (folder / "project" / "pytest.ini").unlink()
    (folder / "models" / "pytest.ini").write_text("[pytest]\naddopts = --maxfail=7\n", "utf-8")
    code, text = run(pytester, folder / "project", "--embed-model", "../models/mine")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert f"reads the settings in {folder / 'models' / 'pytest.ini'}" in text


def test_a_root_folder_that_moved_without_any_settings_file(pytester: pytest.Pytester, folder: Path) -> None:
    (folder / "project" / "pytest.ini").unlink()
    code, text = run(pytester, folder / "project", "--embed-model", "../models/mine")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert f"moved its root folder from {folder / 'project'} to {folder}" in text


def test_the_environment_variable_is_looked_at_too(
    pytester: pytest.Pytester, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--embed-model ../models/mine")
    code, text = run(pytester, folder / "project", "tests")
    assert code == 0, "the user's own test path leads back to the ini file"
    code, text = run(pytester, folder / "project")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "PYTEST_ADDOPTS=--embed-model=../models/mine pytest --co -q" in text.replace("python -m ", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--embed-model=../models/mine", "tests"),
        ("--embed-dataset", "data", "tests"),  # below the root folder: nothing has moved
        ("--embed-results", "../board", "--rootdir=.", "-c", "pytest.ini", "tests"),
        ("--embed-results", "missing", "tests"),
        ("--embed-profile-seconds", "3", "tests"),
        ("--embed-only", "tests"),
        ("tests", "../board", "--embed-results", "../board"),  # a test path as well
    ],
)
def test_no_false_alarm(pytester: pytest.Pytester, folder: Path, arguments: tuple[str, ...]) -> None:
    _, text = run(pytester, folder / "project", *arguments, "--embed-no-conformance", "-k", "own")
    assert "took the value" not in text


def test_a_path_of_another_plugin_is_not_ours(pytester: pytest.Pytester, folder: Path) -> None:
    (folder / "other.py").write_text("def pytest_addoption(parser):\n    parser.addoption('--other-file')\n", "utf-8")
    pytester.syspathinsert(folder)
    code, text = run(pytester, folder / "project", "-p", "other", "--other-file", "../board", "--embed-only")
    assert "took the value" not in text
    assert code == pytest.ExitCode.NO_TESTS_COLLECTED


def test_an_option_in_the_ini_file_moves_nothing(pytester: pytest.Pytester, folder: Path) -> None:
    (folder / "project" / "pytest.ini").write_text("[pytest]\naddopts = --embed-results ../board\n", "utf-8")
    code, text = run(pytester, folder / "project", "tests", "-p", "no:cacheprovider")
    assert "took the value" not in text
    assert code == 0
