"""A result that an earlier version named after the dataset gets its present name, with its evidence; none lies twice."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pytest_embedbench.core.runs import Run
from pytest_embedbench.errors import ResultError
from pytest_embedbench.results.older_names import take_over
from pytest_embedbench.results.schema import Evidence, PairResult
from pytest_embedbench.results.store import Store

RUN = Run({"q": [("d", 0.5)]})


@pytest.fixture
def older(tmp_path: Path, result: PairResult) -> Path:
    """Return the path of a stored result with evidence, named after its dataset."""
    path = tmp_path / f"{result.embedbench.dataset.name}.json"
    store = Store(tmp_path)
    (tmp_path / f"{path.stem}.b1-c1.query.csv").write_text("sent_s\n", "utf-8")
    evidence = Evidence(
        samples={"b1 c1": {"query": f"{path.stem}.b1-c1.query.csv"}},
        **store.save_ranking(path, RUN, {"ndcg@10": {"q": 0.5}}, "m"),
    )
    store.save(
        path, msgspec.structs.replace(result, embedbench=msgspec.structs.replace(result.embedbench, evidence=evidence))
    )
    return path


def test_the_result_and_its_evidence_are_renamed(tmp_path: Path, older: Path) -> None:
    store, path = Store(tmp_path), tmp_path / "Task.json"
    take_over(store, path, older.stem)
    assert {file.name for file in tmp_path.iterdir()} == {
        "Task.json", "Task.run.trec", "Task.per-query.jsonl", "Task.b1-c1.query.csv", "model_meta.json",
    }  # fmt: skip
    stored = store.load(path)
    assert stored
    assert store.load_run(path, stored) == RUN
    assert stored.embedbench.evidence.samples == {"b1 c1": {"query": "Task.b1-c1.query.csv"}}
    take_over(store, path, older.stem)
    assert store.load(path) == stored


def test_a_result_that_has_its_name_stays(tmp_path: Path, older: Path) -> None:
    before = older.read_bytes()
    take_over(Store(tmp_path), older, older.stem)
    take_over(Store(tmp_path), tmp_path / "Task.json", "another dataset")
    (tmp_path / "Task.json").write_text("{}", "utf-8")
    take_over(Store(tmp_path), tmp_path / "Task.json", older.stem)
    assert older.read_bytes() == before


def test_a_file_that_is_no_result_is_named(tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text("{}", "utf-8")
    with pytest.raises(ResultError, match=r"facts\.json: not a pytest-embedbench result"):
        take_over(Store(tmp_path), tmp_path / "Task.json", "facts")
