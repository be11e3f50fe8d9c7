"""The workflow of GitHub Actions, pre-commit and the Makefile agree with pyproject.toml and with each other."""

from __future__ import annotations

import configparser
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
PRE_COMMIT = ROOT / ".pre-commit-config.yaml"

pytestmark = pytest.mark.skipif(not WORKFLOW.is_file(), reason="needs the checkout")


def load_yaml(path: Path) -> dict[Any, Any]:
    yaml = pytest.importorskip("yaml")
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text("utf-8"))
    return loaded


@pytest.fixture
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def make_targets(text: str) -> set[str]:
    commands = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    return set(re.findall(r"\bmake ([a-z-]+)", commands))


def pinned(package: str) -> str:
    (version,) = re.findall(rf"(?m)^{package}==(.*)$", (ROOT / "constraints.txt").read_text("utf-8"))
    return str(version)


def test_every_make_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"(?m)^([a-z-]+):", makefile))
    (phony,) = re.findall(r"(?m)^\.PHONY: (.*)$", makefile)
    workflow = load_yaml(WORKFLOW)
    named = {target for step in steps(workflow) for target in make_targets(step.get("run", ""))}
    assert {"lint", "types", "docs", "wheel", "test-python"} <= named
    assert named | make_targets((ROOT / ".ci" / "run").read_text("utf-8")) <= targets
    assert targets == set(phony.split())
    shown = set(re.findall(r"make ([a-z-]+)", makefile[makefile.index("help:") : makefile.index("$(BIN)/python:")]))
    assert targets - {"help"} <= shown, "make help shows all of them"


def test_actions_are_pinned_to_a_commit() -> None:
    actions = [step["uses"] for step in steps(load_yaml(WORKFLOW)) if "uses" in step]
    assert actions
    assert [action for action in actions if not re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action)] == []


def test_the_workflow_needs_no_secret_and_may_only_read() -> None:
    assert load_yaml(WORKFLOW)["permissions"] == {"contents": "read"}
    assert "secrets." not in WORKFLOW.read_text("utf-8")


def test_every_supported_python_and_pytest_is_tested(pyproject: dict[str, Any]) -> None:
    matrix = load_yaml(WORKFLOW)["jobs"]["test"]["strategy"]["matrix"]
    project = pyproject["project"]
    supported = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert matrix["python"] == supported
    (oldest,) = [text.partition(">=")[2] for text in project["dependencies"] if text.startswith("pytest>=")]
    assert matrix["pytest"] == [oldest, pinned("pytest").partition(".")[0]]


def test_pre_commit_runs_the_pinned_linters() -> None:
    ruff, local = load_yaml(PRE_COMMIT)["repos"]
    assert ruff["rev"] == f"v{pinned('ruff')}"
    assert [hook["id"] for hook in ruff["hooks"]] == ["ruff-check", "ruff-format"]
    assert [hook["id"] for hook in local["hooks"]] == ["mypy"]


def test_settings_for_pytest_8_are_those_of_pyproject(pyproject: dict[str, Any]) -> None:
    nine = pyproject["tool"]["pytest"]
    ini = configparser.ConfigParser()
    ini.read(ROOT / "tests" / "pytest8.ini")
    eight = ini["pytest"]
    assert eight["addopts"].split() == [*nine["addopts"], "--strict-markers", "--strict-config"]
    assert eight["filterwarnings"].split("\n")[1:] == nine["filterwarnings"]
    assert (nine["strict"], eight.getboolean("xfail_strict")) == (True, True)
    assert eight["testpaths"].split() == nine["testpaths"]
