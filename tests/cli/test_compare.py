"""``embedbench compare``: two sides of stored results in one table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_embedbench.cli import main
from pytest_embedbench.core.runs import Run
from pytest_embedbench.core.similarity import Similarity
from pytest_embedbench.models.protocol import ModelFacts
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.results.baseline import Baseline, dump_baseline, entry_of, environment_of
from pytest_embedbench.results.schema import DatasetRecord, Details, Evidence, ModelRecord, PairResult
from pytest_embedbench.results.store import Store

HIGH, LOW = [0.9] * 20, [0.9] * 5 + [0.5] * 15


def put(
    root: Path,
    model: str,
    values: Sequence[float],
    *,
    dataset: str = "facts",
    data: str = "same",
    revision: str = "r1",
    similarity: Similarity = "cosine",
    recall: Sequence[float] | None = None,
) -> PairResult:
    """Store a result with these values of ndcg@10, and the same of recall@5 where no others are given."""
    store = Store(root)
    record = ModelRecord(
        name=f"org/{model}",
        alias=model,
        revision=revision,
        fingerprint=model,
        spec=ModelSpec(),
        facts=ModelFacts(similarity=similarity),
    )
    queries = [f"q{number}" for number in range(len(values))]
    scores = {
        "ndcg@10": dict(zip(queries, values, strict=True)),
        "recall@5": dict(zip(queries, recall or values, strict=True)),
    }
    path = store.path(record, dataset)
    evidence = store.save_ranking(path, Run({query: [("d", 1.0)] for query in queries}), scores, model)
    details = Details(
        model=record,
        dataset=DatasetRecord(
            name=dataset, split="test", fingerprint=data, documents=1, unique_texts=1, queries=20, queries_in_file=20
        ),
        evidence=Evidence(run=evidence["run"], run_sha256=evidence["run_sha256"], per_query=evidence["per_query"]),
    )
    result = PairResult(dataset_revision="", task_name=dataset, embedbench=details)
    store.save(path, result)
    return result


def compare(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def rows(result: Result) -> list[list[str]]:
    """Cells of the table, without its header."""
    lines = result.output.splitlines()
    return [[cell for cell in line.split("  ") if cell] for line in lines[2 : lines.index("")]]


def test_models_of_the_same_name_are_compared(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    for root, one, two in ((a, HIGH, LOW), (b, LOW, LOW)):
        put(root, "x", one)
        put(root, "y", two)
    put(a, "only-a", HIGH)
    put(b, "only-b", HIGH)
    put(a, "x", HIGH, dataset="other", data="1")
    put(b, "x", HIGH, dataset="other", data="2")
    done = compare(a, b)
    assert done.exit_code == 0, done.output
    first, second = rows(done)
    assert [cell.strip() for cell in first] == [
        "org/x", "facts", "ndcg@10", "20", "0.9000", "0.6000", "-0.3000", "-0.3600 to -0.2200", "0.0002", "0.0004", "worse",
    ]  # fmt: skip
    assert second[-1].strip() == "same"
    assert "paired randomization test over queries, two-sided; Holm's correction over 2 comparisons" in done.output
    assert "not compared: org/only-a on facts: only in A" in done.output
    assert "not compared: org/only-b on facts: only in B" in done.output
    assert "not compared: org/x on other: other data: fingerprint 1 in A, 2 in B" in done.output


def test_one_model_on_each_side_needs_no_names(tmp_path: Path) -> None:
    put(tmp_path / "a", "x", LOW)
    put(tmp_path / "b", "y", HIGH)
    done = compare(tmp_path / "a", tmp_path / "b", "--metric", "nDCG@10", "--metric", "R@5")
    assert [row[0] for row in rows(done)] == ["org/x / org/y"] * 2
    assert [row[-1].strip() for row in rows(done)] == ["better"] * 2


def test_models_can_be_paired_by_name_or_alias(tmp_path: Path) -> None:
    root = tmp_path / "r"
    for model, values in (("x", HIGH), ("y", LOW), ("z", LOW)):
        put(root, model, values)
    done = compare(root, root, "--models", "x=org/y", "--models", "y=z")
    assert [(row[0], row[-1].strip()) for row in rows(done)] == [("org/x / org/y", "worse"), ("org/y / org/z", "same")]
    wrong = compare(root, root, "--models", "xx=y")
    assert wrong.exit_code == 1
    assert "--models: A has no model 'xx'" in wrong.output
    assert compare(root, root, "--models", "x").exit_code == 2


def test_files_and_baselines_are_sides_too(tmp_path: Path) -> None:
    result = put(tmp_path / "a", "x", HIGH)
    put(tmp_path / "b", "x", LOW)
    (path,) = (tmp_path / "b").glob("*/*/facts.json")
    scores = {"ndcg@10": {f"q{number}": 0.9 for number in range(20)}}
    entry = entry_of(result, scores, Run({}), {}, ["ndcg@10"], ("x", "facts"))
    baseline = tmp_path / "base.json"
    baseline.write_text(dump_baseline(Baseline(pairs=[entry])), "utf-8")
    assert rows(compare(baseline, path))[0][-1].strip() == "worse"
    assert rows(compare(path, baseline))[0][-1].strip() == "better"
    assert rows(compare(baseline, tmp_path / "a"))[0][-1].strip() == "same"
    assert "no recall@5 in A" in compare(baseline, path, "--metric", "recall@5").output


def test_fail_on_regression(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    put(a, "x", HIGH)
    put(b, "x", LOW)
    done = compare(a, b, "--fail-on-regression")
    assert done.exit_code == 1
    assert rows(done)[0][-1].strip() == "regression"
    assert "one-sided for a drop" in done.output
    done = compare(a, b, "--fail-on-regression", "--max-drop", "0.3")
    assert done.exit_code == 0, "a drop of just so much passes"
    assert rows(done)[0][-1].strip() == "worse"
    assert compare(b, a, "--fail-on-regression").exit_code == 0


def test_other_data_fails_where_a_regression_would(tmp_path: Path) -> None:
    for root, data in (("a", "1"), ("b", "2")):
        put(tmp_path / root, "x", HIGH)
        put(tmp_path / root, "x", HIGH, dataset="other", data=data)
    assert compare(tmp_path / "a", tmp_path / "b").exit_code == 0
    assert compare(tmp_path / "a", tmp_path / "b", "--fail-on-regression").exit_code == 1


def test_what_is_not_significant_says_what_would_be(tmp_path: Path) -> None:
    put(tmp_path / "a", "x", HIGH)
    put(tmp_path / "b", "x", [0.9] * 18 + [0.5] * 2)
    done = compare(tmp_path / "a", tmp_path / "b")
    assert rows(done)[0][-1].strip() == "not significant"
    assert "org/x on facts, ndcg@10: 20 queries detect a drop of 0.0685 or more (power 80%, one-sided)" in done.output


def test_json(tmp_path: Path) -> None:
    put(tmp_path / "a", "x", HIGH)
    put(tmp_path / "b", "x", LOW)
    put(tmp_path / "b", "y", LOW)
    data = json.loads(compare(tmp_path / "a", tmp_path / "b", "--json").output)
    (line,) = data["comparisons"]
    assert (line["queries"], line["verdict"]) == (20, "worse")
    assert line["difference"] == pytest.approx(-0.3)
    assert line["low"] < line["difference"] < line["high"] < 0
    (left,) = data["not_compared"]
    assert (left["model"], left["dataset"], left["reason"]) == ("org/y", "facts", "only in B")
    assert data["test"] == "two-sided"


def test_another_similarity_is_said(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    before = put(a, "x", HIGH, similarity="dot")
    put(b, "x", LOW)
    note = "note: org/x on facts: ranked by dot in A and by cosine in B"
    assert note in compare(a, b).output
    assert "note: " not in compare(a, a).output
    assert json.loads(compare(a, b, "--json").output)["notes"] == {
        "org/x on facts": "ranked by dot in A and by cosine in B"
    }
    assert environment_of(before)["similarity"] == "dot", "so that a regression names the change"


def test_two_revisions_with_the_same_scores_are_one(tmp_path: Path) -> None:
    a = tmp_path / "a"
    put(a, "x", HIGH)
    put(a, "x", HIGH, revision="main")
    put(tmp_path / "b", "x", LOW)
    assert rows(compare(a, tmp_path / "b"))[0][-1].strip() == "worse"
    put(a, "x", LOW, revision="r2")
    done = compare(a, tmp_path / "b")
    assert done.exit_code == 1
    assert "A: two results of org/x on facts: " in done.output
    assert f"fix: give the folder of one revision ({a}/org__x/main or {a}/org__x/r2), or one file" in done.output


def test_errors_are_one_message(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    put(a, "x", HIGH)
    put(b, "x", HIGH)
    put(b, "x", LOW, revision="r2")
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.json").write_text("{", "utf-8")
    for arguments, message in (
        ((a, b), "B: two results of org/x on facts: "),
        ((a, tmp_path / "empty"), "B: {tmp}/empty holds no results"),
        ((tmp_path / "bad.json", a), "bad.json: not a pytest-embedbench result"),
        ((a, tmp_path / "no.json"), "B: no such baseline: "),
        ((a, a, "--metric", "ndgc@10"), "unknown metric 'ndgc'"),
        ((a, a, "--metric", "ndcg@3"), "nothing to compare"),
    ):
        done = compare(*arguments)
        assert done.exit_code == 1
        assert message.format(tmp=tmp_path) in done.output
        assert "Traceback" not in done.output
    (file,) = a.glob("*/*/facts.per-query.jsonl")
    file.unlink()
    done = compare(a, b / "org__x" / "r1")
    assert "facts.per-query.jsonl: is missing" in done.output
