"""A budget that is run alone encodes the texts of its load, not the corpus; what it measures is kept all the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.acceptance.conftest import Project

DOCUMENTS = 3000

COUNTING = """
    import hashlib, json, pathlib, time
    import numpy as np

    COUNTS = pathlib.Path(__file__).with_name("counts.json")

    def encode(texts, role):
        counts = json.loads(COUNTS.read_text()) if COUNTS.exists() else {}
        counts[role] = counts.get(role, 0) + len(texts)
        COUNTS.write_text(json.dumps(counts))
        time.sleep(0.002)
        seeds = [int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) for text in texts]
        return np.stack([np.random.default_rng(seed).normal(size=8) for seed in seeds])
"""

SUITE = """
[embedbench]
models = ["counted"]
datasets = ["facts"]
[models.counted]
callable = "counting:encode"
[[checks]]
profile = "b1 c1"
budget = ["query mean <= 60 s", "memory <= 900 GB"]
"""


@pytest.fixture
def counted(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    project.data(docs={f"d{number}": f"document {number}" for number in range(DOCUMENTS)}, qrels={"q1": {"d1": 1}})
    project.write("counting.py", COUNTING)
    project.write("embedbench.toml", SUITE)
    monkeypatch.syspath_prepend(project.folder)
    return project


def counts(project: Project) -> Mapping[str, int]:
    """Texts that the model has encoded since the last call, by role."""
    path = project.folder / "counts.json"
    found: dict[str, int] = json.loads(path.read_text("utf-8"))
    path.unlink()
    return found


def test_a_latency_budget_encodes_the_texts_of_its_load(counted: Project) -> None:
    run = ("--embed-profile-seconds=0.05", "--embed-no-cache")
    counted.spawn("-k", "budget and mean", *run).assert_outcomes(passed=1, deselected=2)
    assert counts(counted)["document"] < DOCUMENTS / 2
    alone = counted.result(model="counted").embedbench
    assert "b1 c1" in alone.profiles
    assert not alone.means
    assert (counted.result_path(model="counted").parent / alone.evidence.samples["b1 c1"]["query"]).is_file()
    assert counted.card_text("counted")
    # Afterwards the pair is evaluated, and keeps what was measured before.
    counted.spawn("-k", "quality", *run).assert_outcomes(passed=1, deselected=2)
    assert counts(counted)["document"] >= DOCUMENTS
    whole = counted.result(model="counted").embedbench
    assert whole.profiles == alone.profiles
    assert "ndcg@10" in whole.means
    # And a load on its own takes nothing from the result.
    counted.spawn("-k", "budget and mean", *run).assert_outcomes(passed=1, deselected=2)
    assert counts(counted)["document"] < DOCUMENTS / 2
    again = counted.result(model="counted").embedbench
    assert again.means == whole.means
    assert again.evidence.run == whole.evidence.run


def test_a_budget_on_memory_needs_the_whole_corpus(counted: Project) -> None:
    counted.spawn("-k", "memory", "--embed-profile-seconds=0.05", "--embed-no-cache").assert_outcomes(
        passed=1, deselected=2
    )
    assert counts(counted)["document"] >= DOCUMENTS


def test_a_test_in_python_that_measures_a_load_alone(counted: Project) -> None:
    counted.write(
        "test_speed.py",
        """
        def test_speed(embed_profile):
            assert embed_profile("b1 c1").query.mean_ms < 60_000
        """,
    )
    counted.spawn("test_speed.py", "--embed-profile-seconds=0.05", "--embed-no-cache").assert_outcomes(passed=1)
    assert counts(counted)["document"] < DOCUMENTS / 2
