"""The leaderboard example: seven competitors, on two of its collections; make leaderboard runs all eight."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.examples.conftest import EXAMPLES

if TYPE_CHECKING:
    from tests.examples.conftest import Example

EXAMPLE = "leaderboard"
SEVEN = {
    "bm25",
    "minilm",
    "minilm@dim=128",
    "minilm@int8",
    "minilm@binary",
    "minilm@dim=128@int8",
    "minilm@dim=128@binary",
}


def test_seven_competitors_are_ranked(shared: Path, example: Example) -> None:
    pytest.importorskip("bm25s", reason="needs the extra bm25")
    folder = example.folder
    data = [f"--embed-dataset={shared}/data/{name}" for name in ("agentset-business-reports", "agentset-arcd")]
    example.passes("-m", "pytest", *data, "-k", "quality", "--embed-leaderboard=pages")
    ratings = json.loads((folder / "pages" / "ratings.json").read_text("utf-8"))
    assert {rating["model"] for rating in ratings["overall"]} == SEVEN
    assert set(ratings["by_dataset"]) == {"agentset-business-reports", "agentset-arcd"}
    assert sum(rating["elo"] for rating in ratings["overall"]) / 7 == pytest.approx(1500)
    assert len(list((folder / "pages" / "compare").glob("*.html"))) == 7 * 6 / 2


def test_the_suite_names_what_the_docs_say() -> None:
    suite = msgspec.toml.decode((EXAMPLES / EXAMPLE / "embedbench.toml").read_text("utf-8"))["embedbench"]
    assert set(suite["models"]) == SEVEN
    names = {Path(path).name for path in suite["datasets"]}
    assert {name for name in names if name.startswith("agentset-")} == {
        "agentset-arcd", "agentset-business-reports", "agentset-dbpedia", "agentset-msmarco", "agentset-pg"
    }  # fmt: skip
    assert names >= {"nfcorpus", "arcd", "norquad"}
