"""Checkpoints to be changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def copy(minilm_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of MiniLM's folder."""
    return Path(shutil.copytree(minilm_folder, tmp_path / "copy"))


def change(file: Path, **values: object) -> None:
    """Change values of a file of JSON, which may not be there yet."""
    found = json.loads(file.read_text("utf-8")) if file.exists() else {}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({**found, **values}), "utf-8")
