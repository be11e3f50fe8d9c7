"""The threshold suite passes, in one process and in two, and fails when a limit is out of reach."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.examples.conftest import Example

EXAMPLE = "thresholds"


@pytest.fixture(autouse=True)
def _bm25() -> None:
    pytest.importorskip("bm25s", reason="needs the extra bm25")


def test_it_passes_and_fails_where_a_limit_is_out_of_reach(example: Example) -> None:
    assert "19 passed" in example.passes("-m", "pytest")
    suite = example.folder / "embedbench.toml"
    suite.write_text(suite.read_text("utf-8").replace("mrr@10 >= 0.50", "mrr@10 >= 0.90"), "utf-8")
    done = example.run("-m", "pytest")
    assert done.returncode == 1, done.stdout
    assert re.search(r"mrr@10 is 0\.5\d+, must be >= 0\.9", done.stdout), done.stdout
    assert "1 failed, 18 passed" in done.stdout


def test_it_passes_in_two_processes(example: Example) -> None:
    pytest.importorskip("xdist")
    shown = example.passes("-m", "pytest", "-n", "2")
    assert "19 passed" in shown
    assert "2 workers" in shown
    assert len(list(example.folder.glob("embedbench-out/results/*/*/builtin.json"))) == 2
