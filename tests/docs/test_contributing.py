"""CONTRIBUTING.md names files and commands that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "CONTRIBUTING.md"

pytestmark = pytest.mark.skipif(not (ROOT / "Makefile").is_file(), reason="needs the checkout")


def test_every_file_that_is_named_exists() -> None:
    names = re.findall(r"`([\w./-]+(?:/|\.(?:py|md|toml|txt|ini|yml)))`", PAGE.read_text("utf-8"))
    assert {"checks/check.py", "conformance/probes.py", "datasets/load.py", "models/spec.py"} <= {
        name.removeprefix("pytest_embedbench/") for name in names
    }
    folders = (ROOT, ROOT / "pytest_embedbench", ROOT / "pytest_embedbench" / "reports" / "leaderboard")
    assert [name for name in names if not any((folder / name).exists() for folder in folders)] == []


def test_every_make_target_that_is_named_exists() -> None:
    targets = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"))
    named = re.findall(r"`make ([a-z-]+)", PAGE.read_text("utf-8") + (ROOT / "README.md").read_text("utf-8"))
    assert named
    assert [name for name in named if name not in targets] == []
