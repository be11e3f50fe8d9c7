"""Pages to work on: one of ours, and the reference page where it is at hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8")


@pytest.fixture(scope="session")
def page() -> str:
    """Return a page of our own that has every kind of line."""
    return _read(HERE / "page.md")


@pytest.fixture(scope="session")
def reference_page() -> str:
    """Return the reference page; it is not ours to copy into the repository."""
    shared = os.environ.get("EMBEDBENCH_SHARED") or HERE.parents[2] / "shared"
    path = Path(shared) / "pages" / "model-card.md"
    if not path.is_file():
        pytest.skip(f"no reference page at {path}; set EMBEDBENCH_SHARED to the folder that has pages/model-card.md")
    return _read(path)
