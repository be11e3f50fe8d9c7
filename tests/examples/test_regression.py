"""The regression suite: its committed baseline holds for MiniLM, and a worse model fails against it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.examples.conftest import Example

EXAMPLE = "regression"
BASELINE = "embedbench-baseline.json"


def test_the_committed_baseline_holds_and_a_worse_model_fails(example: Example) -> None:
    pytest.importorskip("bm25s", reason="needs the extra bm25")
    committed = json.loads((example.folder / BASELINE).read_text("utf-8"))
    (entry,) = committed["pairs"]
    assert entry["means"]["ndcg@10"] > 0.6
    shown = example.passes("-m", "pytest", "-v")
    assert "embedbench.toml::minilm::builtin::regression[ndcg@10] PASSED" in shown
    assert "embedbench.toml::minilm::builtin::regression[recall@10] PASSED" in shown

    # A lexical search under the model's name: worse, and quick.
    suite = example.folder / "embedbench.toml"
    suite.write_text(suite.read_text("utf-8") + "\n[models.minilm]\nkind = 'bm25'\n", "utf-8")
    done = example.run("-m", "pytest")
    assert done.returncode == 1, done.stdout
    assert re.search(r"^minilm +builtin +regression ndcg@10 .* FAIL", done.stdout, re.MULTILINE), done.stdout


def test_updating_changes_no_line_of_an_unchanged_model(example: Example) -> None:
    before = (example.folder / BASELINE).read_text("utf-8")
    example.passes("-m", "pytest", "--embed-update-baseline")
    now = (example.folder / BASELINE).read_text("utf-8")
    assert [line for line in now.splitlines() if '"q' in line[:8]] == [
        line for line in before.splitlines() if '"q' in line[:8]
    ]
