"""One command does the whole job: evaluate, profile, keep the evidence, write the card."""

from __future__ import annotations

import csv
import json
import shutil
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pytest
import pytrec_eval

from pytest_embedbench.reports.cards import parse, render

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Project

TREC = {"ndcg at 10": "ndcg_cut_10", "map at 10": "map_cut_10", "mrr at 10": "recip_rank"}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the main job's files are kept for the tests after the first."""
    return tmp_path_factory.mktemp("main-job") / "project"


@pytest.fixture
def finished(project: Project, kept: Path) -> Project:
    """Return a project after the main job, which is done once."""
    if not kept.exists():
        data = project.data()
        result = project.run("--embed-model", "minilm", "--embed-dataset", data, "--embed-profile", "b1 c4")
        assert result.ret == 0
        result.assert_outcomes(passed=5)
        shutil.copytree(project.folder, kept)
    shutil.copytree(kept, project.folder, dirs_exist_ok=True)
    return project


def trec_scores(run: Path, data: Path) -> dict[str, dict[str, float]]:
    """Score a TREC run by trec_eval itself, as a user would: from the files, without our code."""
    ranked: dict[str, dict[str, float]] = {}
    for line in run.read_text(encoding="utf-8").splitlines():
        query, q0, doc, _, score, _ = line.split()
        assert q0 == "Q0"
        ranked.setdefault(query, {})[doc] = float(score)
    qrels: dict[str, dict[str, int]] = {}
    for line in (data / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, doc, grade = line.split("\t")
        qrels.setdefault(query, {})[doc] = int(grade)
    names = {"ndcg_cut.10", "map_cut.10", "recip_rank", "recall.1", "recall.5", "P.5"}
    scores: dict[str, dict[str, float]] = pytrec_eval.RelevanceEvaluator(qrels, names).evaluate(ranked)
    return scores


def test_everything_lies_in_the_default_folder(finished: Project) -> None:
    out = finished.folder / "embedbench-out"
    made = {path.name for path in out.rglob("*") if path.is_file()}
    assert made == {
        ".gitignore",
        "facts.json",
        "facts.run.trec",
        "facts.per-query.jsonl",
        "facts.b1-c4.query.csv",
        "facts.b1-c4.corpus.csv",
        "model_meta.json",
        "sentence-transformers__all-MiniLM-L6-v2.md",
        *(["sentence-transformers__all-MiniLM-L6-v2.facts.b1-c4.svg"] if find_spec("matplotlib") else []),
    }
    assert "*" in (out / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert finished.result_path().parents[1].name == "sentence-transformers__all-MiniLM-L6-v2"


def test_named_folders_are_used_and_nothing_else_is_made(project: Project) -> None:
    project.data()
    result = project.run(
        "--embed-model=minilm", "--embed-dataset=facts", "--embed-results=kept/numbers", "--embed-card=kept/pages"
    )  # fmt: skip
    assert result.ret == 0
    assert project.result_path(below=project.folder / "kept" / "numbers").is_file()
    assert (project.folder / "kept" / "pages" / "sentence-transformers__all-MiniLM-L6-v2.md").is_file()
    assert not (project.folder / "embedbench-out").exists()
    result.stdout.fnmatch_lines(["result: kept/numbers/*/facts.json*run: facts.run.trec", "card: kept/pages/*.md"])


def test_folders_from_the_ini_file(project: Project) -> None:
    project.data()
    project.write("pytest.ini", "[pytest]\nembedbench_results = numbers\nembedbench_card = pages\n")
    assert project.run("--embed-model=minilm", "--embed-dataset=facts").ret == 0
    assert project.result_path(below=project.folder / "numbers").is_file()
    assert len(list((project.folder / "pages").glob("*.md"))) == 1


def test_the_card_reads_back_byte_for_byte(finished: Project) -> None:
    text = finished.card_text()
    card = parse(text)
    assert render(card) == text
    assert card.title == "sentence-transformers/all-MiniLM-L6-v2"
    assert card.overview["Dimensions"] == "Dense: 384"
    assert card.overview["Parameters"] == "22.7M"
    counts = card.section("facts").counts
    assert (counts["Corpus"].value, counts["Queries"].value) == (6, 4)


def test_the_cards_quality_follows_from_run_and_per_query_file(finished: Project) -> None:
    path = finished.result_path()
    quality = parse(finished.card_text()).section("facts").quality
    recomputed = trec_scores(path.with_suffix(".run.trec"), finished.folder / "facts")
    lines = path.with_suffix(".per-query.jsonl").read_text(encoding="utf-8").splitlines()
    per_query = [json.loads(line) for line in lines]
    assert {row["query"] for row in per_query} == set(recomputed) == {"q1", "q2", "q3", "q4"}
    assert set(quality) == set(TREC)
    for label, name in TREC.items():
        from_run = np.mean([scores[name] for scores in recomputed.values()])
        from_queries = np.mean([row[label.replace(" at ", "@")] for row in per_query])
        assert quality[label].text == f"{from_run:.4f}"
        assert from_queries == pytest.approx(from_run, abs=1e-12)
    assert 0.5 < quality["ndcg at 10"].value < 1, "the wrong judgment must cost something"


def test_means_in_the_result_follow_from_the_run(finished: Project) -> None:
    means = finished.result().embedbench.means
    recomputed = trec_scores(finished.result_path().with_suffix(".run.trec"), finished.folder / "facts").values()
    for ours, theirs in {"recall@1": "recall_1", "recall@5": "recall_5", "precision@5": "P_5"}.items():
        assert means[ours] == pytest.approx(np.mean([scores[theirs] for scores in recomputed]), abs=1e-12)
    assert means["recall@1"] == 0.75


def test_statistics_follow_from_the_samples(finished: Project) -> None:
    result, path = finished.result(), finished.result_path()
    profile = result.embedbench.profiles["b1 c4"]
    (shown,) = parse(finished.card_text()).section("facts").performance
    for side in ("query", "corpus"):
        file = path.parent / result.embedbench.evidence.samples["b1 c4"][side]
        rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
        latencies = np.array([float(row["latency_ms"]) for row in rows])
        ends = [float(row["sent_s"]) + float(row["latency_ms"]) / 1000 for row in rows]
        statistics = getattr(profile, side)
        for share, needed in {50: 6, 90: 36, 95: 72, 99: 368}.items():
            value = np.percentile(latencies, share) if len(rows) >= needed else None
            assert getattr(statistics, f"p{share}_ms") == (value and pytest.approx(value, abs=1e-3))
        assert statistics.mean_ms == pytest.approx(latencies.mean(), abs=1e-3)
        assert statistics.max_ms == pytest.approx(latencies.max(), abs=1e-3)
        assert statistics.requests == len(rows) >= 4
        assert statistics.seconds == pytest.approx(max(ends), abs=1e-3)
        assert statistics.tokens_per_s == pytest.approx(statistics.own_tokens / statistics.seconds)
        assert statistics.tokens == statistics.own_tokens + 2 * statistics.texts, "[CLS] and [SEP]"
        figure = shown.figures.get(f"{side.capitalize()} p50")
        assert (figure and figure.text) == (f"{np.percentile(latencies, 50):.1f}ms" if len(rows) >= 6 else None)
    assert shown.profile.endswith(" b1 c4")
    assert profile.circumstances is not None
    assert (profile.circumstances.device, profile.circumstances.dtype) == ("cpu", "fp32")
    assert profile.query.serving is not None
    assert sum(size * count for size, count in profile.query.serving.batch_sizes) == profile.query.texts
    assert shown.figures["Query"].value == pytest.approx(profile.query.tokens_per_s, rel=0.06)


def test_load_time_memory_and_environment_are_recorded(finished: Project) -> None:
    details = finished.result().embedbench
    assert details.load_seconds is not None
    assert details.load_seconds > 0
    assert details.peak_memory_bytes["process"] > 50e6
    assert details.environment is not None
    assert {"torch", "transformers", "sentence-transformers", "pytest-embedbench"} <= set(details.environment.libraries)
    assert details.environment.cores
    assert details.model.facts.dtype == "fp32"
    assert details.model.facts.pooling == "mean"


def test_a_matrix_of_models_and_datasets(project: Project) -> None:
    pytest.importorskip("bm25s")
    project.data("one")
    project.data("two", queries={"q1": "how do whales breathe"}, qrels={"q1": {"whale": 1}})
    result = project.run(
        "--embed-model=minilm,bm25", "--embed-dataset=one", "--embed-dataset=two", "-k", "ndcg", "-v"
    )  # fmt: skip
    result.assert_outcomes(passed=4, deselected=16)
    found = {(row["model"], row["dataset"], row["check"]) for row in project.table(result)}
    assert found == {(model, data, "ndcg@10") for model in ("minilm", "bm25") for data in ("one", "two")}
    assert project.card_text("embedbench__bm25").startswith("---\ntitle: embedbench/bm25\n")
    assert len(parse(project.card_text()).sections) == 2


def test_a_run_of_one_dataset_does_not_shrink_the_card(project: Project) -> None:
    pytest.importorskip("bm25s")
    project.data("one")
    project.data("two")
    project.run("--embed-model=bm25", "--embed-dataset=one,two", "-k", "ndcg")
    project.run("--embed-model=bm25", "--embed-dataset=two", "-k", "ndcg")
    assert [section.name for section in parse(project.card_text("*bm25")).sections] == ["one", "two"]


def test_the_packaged_suite_runs_its_own_data(project: Project) -> None:
    result = project.run("--embed-model=minilm", "--collect-only", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "embedbench-default.toml::minilm::builtin::quality?ndcg@10?",
            "embedbench-default.toml::minilm::builtin::budget?b1-c16?",
        ]
    )
