"""A project's suite runs under bare pytest wherever the project's own tests are; its files stay beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

ORDINARY = "def test_ordinary():\n    pass\n"
QUALITY = "embedbench.toml::minilm::facts::quality[recall@1]"
ADDED = "embedbench: embedbench.toml runs too, though the test paths leave it out; -m 'not embedbench' runs without it"


def collected(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


@pytest.fixture
def beside_tests(project: Project) -> Project:
    """Return a project with a suite in its root folder and tests in a folder ``tests``."""
    project.suite("recall@1 >= 0.5")
    project.write("tests/test_ordinary.py", ORDINARY)
    return project


@pytest.mark.parametrize("ini", ["testpaths = tests", "addopts = tests"])
def test_test_paths_in_the_settings_do_not_leave_the_suite_out(beside_tests: Project, ini: str) -> None:
    beside_tests.write("pytest.ini", f"[pytest]\n{ini}\n")
    result = beside_tests.run("--co", "-v")
    result.stdout.fnmatch_lines([ADDED])
    names = collected(beside_tests.run("--co", "-q"))
    assert names == ["tests/test_ordinary.py::test_ordinary", QUALITY]
    assert collected(beside_tests.run("--co", "-q", "--embed-only")) == [QUALITY], "as the recipe for CI does"
    assert collected(beside_tests.run("--co", "-q", "-m", "not embedbench")) == names[:1], "as the header says"
    assert collected(beside_tests.run("--co", "-q", "tests")) == names[:1], "the user's own choice"
    only = beside_tests.run("--co", "--embed-only", "tests")
    only.stdout.fnmatch_lines(["embedbench: embedbench.toml does not run, since the paths given leave it out; add it*"])


def test_it_runs_in_two_processes_too(beside_tests: Project) -> None:
    beside_tests.write("pytest.ini", "[pytest]\ntestpaths = tests\n")
    beside_tests.spawn("-n1", "-p", "xdist").assert_outcomes(passed=2)


def test_nothing_is_said_where_pytest_finds_the_suite(beside_tests: Project) -> None:
    beside_tests.write("pytest.ini", "[pytest]\ntestpaths = . tests\n")
    result = beside_tests.run("--co", "-q")
    assert collected(result) == [QUALITY, "tests/test_ordinary.py::test_ordinary"]
    assert "embedbench:" not in beside_tests.text(result)


@pytest.mark.parametrize(
    "how", ["--ignore=embedbench.toml", "--ignore-glob=*.toml", "collect_ignore = ['embedbench.toml']"]
)
def test_a_suite_that_the_user_ignores_stays_ignored(beside_tests: Project, how: str) -> None:
    beside_tests.write("pytest.ini", "[pytest]\ntestpaths = tests\n")
    options = [how] if how.startswith("--") else []
    beside_tests.write("conftest.py", "" if options else how)
    result = beside_tests.run("--co", "-q", *options)
    assert collected(result) == ["tests/test_ordinary.py::test_ordinary"]
    assert result.ret == 0


def test_a_suite_in_the_pyproject_of_the_working_folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("pytest.ini", "[pytest]\n")
    project.data("part/facts")
    table = "[tool.embedbench]\nmodels = ['minilm']\ndatasets = ['facts']\nmetrics = ['recall@1']\n"
    project.write("part/pyproject.toml", table)
    project.write("other/pyproject.toml", table.replace("facts", "builtin"))
    name = "part/pyproject.toml::minilm::facts::quality[recall@1]"
    assert not collected(project.run("--co", "-q")), "pytest starts above: these are other projects"
    assert collected(project.run("--co", "-q", "part/pyproject.toml")) == [name]
    monkeypatch.chdir(project.folder / "part")
    assert collected(project.run("--co", "-q")) == [name]
    assert collected(project.run("--co", "-q", "--embed-only")) == [name]
    project.run().assert_outcomes(passed=1)
    assert project.result_path(below=project.folder / "part" / "embedbench-out" / "results").is_file()
    assert not (project.folder / "embedbench-out").exists(), "results lie beside the suite, not in pytest's root folder"


def test_results_hang_on_the_suite_wherever_pytest_starts(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.suite("recall@1 >= 0.5")
    project.write("pytest.ini", "[pytest]\n")
    (project.folder / "deep").mkdir()
    monkeypatch.chdir(project.folder / "deep")
    project.run("--embed-only", "--embed-update-baseline").assert_outcomes(passed=2)
    assert project.result_path().is_file()
    assert (project.folder / "embedbench-baseline.json").is_file()
    assert not list((project.folder / "deep").iterdir())


def test_without_a_suite_they_hang_on_the_working_folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.data("deep/facts")
    project.write("setup.cfg", "[tool:pytest]\n")
    monkeypatch.chdir(project.folder / "deep")
    project.run("--embed-model=minilm", "--embed-dataset=facts", "-k", "quality", "--embed-update-baseline")
    assert project.result_path(below=project.folder / "deep" / "embedbench-out" / "results").is_file()
    assert not (project.folder / "embedbench-out").exists()
