"""With the plugin installed and nothing to do, a session imports no heavy library."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

HEAVY = (
    "torch", "numpy", "transformers", "tokenizers", "sentence_transformers", "jinja2", "httpx2", "httpx", "msgspec", "scipy",
    "sklearn", "tabulate", "tqdm", "filelock", "pytrec_eval", "safetensors", "huggingface_hub", "bm25s", "click",
    "tomllib", "sqlite3", "difflib",
)  # fmt: skip

WATCH = """
    import json, pathlib, sys

    def pytest_unconfigure():
        pathlib.Path("imported.json").write_text(json.dumps(sorted(sys.modules)))
"""


def imported(project: Project, *arguments: str) -> set[str]:
    """Run pytest in a process of its own; the modules that it has at the end."""
    project.write("conftest.py", WATCH)
    result = project.spawn_anew(*arguments)
    assert result.ret == 0, project.text(result)
    return set(json.loads((project.folder / "imported.json").read_text("utf-8")))


@pytest.mark.parametrize("arguments", [(), ("--collect-only",), ("-q", "--co")], ids=" ".join)
def test_nothing_heavy_is_imported(project: Project, arguments: tuple[str, ...]) -> None:
    project.write("test_trivial.py", "def test_trivial(tmp_path):\n    assert tmp_path\n")
    project.write("pyproject.toml", "[project]\nname = 'other'\nversion = '1'\n")
    modules = imported(project, *arguments)
    assert "pytest_embedbench.plugin" in modules
    without = imported(project, *arguments, "-p", "no:embedbench")
    assert modules & set(HEAVY) - without == set()
    ours = {name for name in modules if name.startswith("pytest_embedbench")}
    assert ours == {
        "pytest_embedbench",
        "pytest_embedbench.core",
        "pytest_embedbench.core.bounds",
        "pytest_embedbench.core.parsing",
        "pytest_embedbench.errors",
        "pytest_embedbench.session.arguments",
        "pytest_embedbench.session.causes",
        "pytest_embedbench.session.fixtures",
        "pytest_embedbench.session.hookspecs",
        "pytest_embedbench.session.options",
        "pytest_embedbench.plugin",
        "pytest_embedbench.session",
        "pytest_embedbench.session.paths",
        "pytest_embedbench.session.state",
        "pytest_embedbench.session.suites",
        "pytest_embedbench.suite",
        "pytest_embedbench.suite.find",
    }


@pytest.mark.parametrize("option", ["--help", "--markers", "--fixtures"])
def test_help_imports_nothing_heavy_either(project: Project, option: str) -> None:
    assert imported(project, option) & set(HEAVY) - imported(project, option, "-p", "no:embedbench") == set()
