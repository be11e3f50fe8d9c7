"""Published means as a baseline: a small drop passes, a large one is skipped with the reason, none fails by chance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from pytest_embedbench.cli import main

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

pytest.importorskip("bm25s")


def publish(project: Project, ndcg: float, mrr: float) -> None:
    """Write what an MTEB file says of BM25, as the baseline."""
    entry = {
        "hf_subset": "default",
        "languages": ["eng-Latn"],
        "main_score": ndcg,
        "ndcg_at_10": ndcg,
        "mrr_at_10": mrr,
    }
    data = {"task_name": "Facts", "dataset_revision": "r", "mteb_version": "2.1.0", "scores": {"test": [entry]}}
    path = project.write("Facts.json", json.dumps(data))
    options = ["--model", "embedbench/bm25", "--dataset", "Facts=facts", "--baseline", "embedbench-baseline.json"]
    done = CliRunner().invoke(main, ["import-mteb", str(path), "--out", "published", *options])
    assert done.exit_code == 0, done.output
    assert f"embedbench-baseline.json: bm25 on facts: new, ndcg@10 {ndcg:.4f}" in done.output


def test_it_passes_or_is_skipped_and_can_be_replaced(project: Project) -> None:
    project.data()
    suite = """
        [embedbench]
        models = ["bm25"]
        datasets = ["facts"]

        [regression]
        metrics = ["ndcg@10", "mrr@10"]
    """
    project.write("embedbench.toml", suite)
    publish(project, 0.75, 0.95)
    result = project.run("-k", "regression", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    rows = {row["check"]: row for row in project.table(result)}
    assert rows["regression ndcg@10"]["verdict"] == "pass"
    assert rows["regression ndcg@10"]["measured"] == "0.7500 (+0.0000)"
    text = project.text(result)
    assert (
        "mrr@10 is 0.7500, the mean in embedbench-baseline.json is 0.9500 (-0.2000, more than max_drop 0.005)" in text
    )
    assert "it has means only, so that nothing can be tested" in text
    assert "quality = ['mrr@10 >= 0.9450']" in text

    project.run("--embed-update-baseline", "-k", "regression").assert_outcomes(passed=2)
    again = project.run("-k", "regression")
    again.assert_outcomes(passed=2)
    assert "for every query what it was" in project.text(again)
