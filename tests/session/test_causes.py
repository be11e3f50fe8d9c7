"""The folder in which the workers of xdist note causes."""

from __future__ import annotations

import os
import tempfile
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pytest_embedbench.session.causes import FOLDER_KEY, FOLDER_PREFIX, MAX_AGE_SECONDS, Causes

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_folders_that_killed_sessions_left_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old, young = tmp_path / f"{FOLDER_PREFIX}old", tmp_path / f"{FOLDER_PREFIX}young"
    for folder in (old, young):
        folder.mkdir()
        (folder / "cause").write_text("item", "utf-8")
    os.utime(old, (time.time() - MAX_AGE_SECONDS - 100,) * 2)
    cleanups: list[Any] = []
    node = SimpleNamespace(workerinput={})
    config: Any = SimpleNamespace(add_cleanup=cleanups.append)
    Causes(config).pytest_configure_node(node)
    assert node.workerinput[FOLDER_KEY].startswith(str(tmp_path / FOLDER_PREFIX))
    assert list(tmp_path.iterdir()) == [young]
