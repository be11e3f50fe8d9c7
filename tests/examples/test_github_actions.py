"""The workflow is sound: it parses, has what GitHub asks for, and its pytest command has options that exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pytest_embedbench.encode.cache import default_folder

WORKFLOW = Path(__file__).parents[2] / "examples" / "github-actions" / "embeddings.yml"
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
KNOWN_KEYS = {
    "workflow": {"name", "on", "permissions", "concurrency", "env", "defaults", "jobs"},
    "job": {"name", "needs", "if", "runs-on", "env", "timeout-minutes", "strategy", "permissions", "steps"},
    "step": {"name", "id", "if", "uses", "with", "run", "env", "shell", "working-directory"},
}


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    pytest.importorskip("yaml")
    loaded: dict[Any, Any] = msgspec.yaml.decode(WORKFLOW.read_bytes())
    if True in loaded:  # YAML 1.1 takes the key `on` for a boolean; GitHub does not
        loaded["on"] = loaded.pop(True)
    return loaded


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_it_has_the_keys_of_a_workflow(workflow: dict[Any, Any]) -> None:
    assert set(workflow) <= KNOWN_KEYS["workflow"]
    assert {"on", "jobs"} <= set(workflow)
    assert set(workflow["on"]) == {"push", "pull_request"}
    for job in workflow["jobs"].values():
        assert set(job) <= KNOWN_KEYS["job"]
        assert {"runs-on", "steps"} <= set(job)
    for step in steps(workflow):
        assert set(step) <= KNOWN_KEYS["step"]
        assert ("uses" in step) != ("run" in step)
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))
    assert set(EXPRESSION.findall(WORKFLOW.read_text("utf-8"))) == {"github.ref", "github.workspace", "github.run_id"}


def test_the_cache_is_where_the_plugin_keeps_it(workflow: dict[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    (job,) = workflow["jobs"].values()
    (cache,) = (step["with"] for step in steps(workflow) if step.get("uses", "").startswith("actions/cache@"))
    monkeypatch.setenv("EMBEDBENCH_CACHE", EXPRESSION.sub("/work", job["env"]["EMBEDBENCH_CACHE"]))
    assert default_folder() == Path("/work") / cache["path"]
    assert cache["key"].startswith(cache["restore-keys"])


def test_its_commands_have_options_that_exist(workflow: dict[Any, Any]) -> None:
    commands = [shlex.split(step["run"]) for step in steps(workflow) if "run" in step]
    install, test = commands
    assert install[:4] == ["python", "-m", "pip", "install"]
    extras = re.fullmatch(r"pytest-embedbench\[(.*)\]", install[4])
    assert extras
    project = msgspec.toml.decode((WORKFLOW.parents[2] / "pyproject.toml").read_bytes())
    assert set(extras[1].split(",")) <= set(project["project"]["optional-dependencies"])
    assert test[0] == "pytest"
    done = subprocess.run([sys.executable, "-m", "pytest", "--help"], capture_output=True, text=True, check=True)
    options = {word.partition("=")[0] for word in test if word.startswith("--")}
    assert "--embed-baseline" in options
    for option in options:
        assert re.search(rf"{option}[= ,]", done.stdout), option


def test_it_uploads_what_the_tests_write(workflow: dict[Any, Any]) -> None:
    (upload,) = (step for step in steps(workflow) if step.get("uses", "").startswith("actions/upload-artifact@"))
    assert upload["if"] == "always()"
    (test,) = (shlex.split(step["run"]) for step in steps(workflow) if step.get("name") == "Test")
    (cards,) = (word.removeprefix("--embed-card=") for word in test if word.startswith("--embed-card="))
    written = {cards, test[test.index("--junit-xml") + 1]}
    assert written <= set(upload["with"]["path"].split())
