"""An evaluation imports what it takes to encode, and no more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

NEEDLESS = {"sentence_transformers", "sklearn", "datasets", "pandas", "pyarrow", "matplotlib", "torchvision"}

WATCH = """
    import json, pathlib, sys

    def pytest_unconfigure():
        pathlib.Path("imported.json").write_text(json.dumps(sorted(sys.modules)))
"""


def test_evaluating_minilm_imports_neither_trainers_nor_data_frames(project: Project) -> None:
    project.write("conftest.py", WATCH)
    project.suite("recall@1 >= 0.1")  # and no load profile, whose plot is drawn where matplotlib is installed
    result = project.spawn_anew("--embed-only")
    assert result.ret == 0, project.text(result)
    modules = set(json.loads((project.folder / "imported.json").read_text("utf-8")))
    assert {"torch", "transformers"} <= modules, "it was evaluated"
    assert modules & NEEDLESS == set()


def test_the_next_run_needs_nothing_of_transformers(project: Project) -> None:
    project.write("conftest.py", WATCH)
    project.suite("recall@1 >= 0.1")
    for arguments, needed in (((), True), (("--embed-fresh",), False), (("--embed-fresh", "--embed-no-cache"), True)):
        result = project.spawn_anew("--embed-only", *arguments)
        assert result.ret == 0, project.text(result)
        modules = set(json.loads((project.folder / "imported.json").read_text("utf-8")))
        assert "torch" in modules, "it was evaluated"
        assert ("transformers" in modules) == needed
