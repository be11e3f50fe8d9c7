"""``embedbench import-mteb``: results of MTEB, of all its versions, as a results folder of ours."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.reports.cards import parse
from pytest_embedbench.results.store import Store
from tests.results.conftest import embedbench

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_embedbench.engine.pair_work import PairWork
    from pytest_embedbench.results.schema import PairResult

REVISION = "8b3219a92973c328a8e22fadcfa821b5dc75636a"


def entry(**scores: float) -> dict[str, Any]:
    nauc = {"nauc_ndcg_at_10_max": math.nan, "main_score": scores.get("ndcg_at_10")}
    return {"hf_subset": "default", "languages": ["eng-Latn"], **nauc, **scores}


def task(name: str = "NFCorpus", **splits: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "task_name": name,
        "dataset_revision": "ec0f",
        "mteb_version": "1.38.9",
        "evaluation_time": 2.5,
        "scores": splits,
    }


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def results(folder: Path) -> dict[str, PairResult]:
    return {str(path.relative_to(folder)): result for path, result in Store(folder).results()}


def test_a_folder_as_mteb_leaves_it(tmp_path: Path) -> None:
    home = tmp_path / "mteb" / "sentence-transformers__all-MiniLM-L6-v2" / REVISION
    write(home / "NFCorpus.json", task(test=[entry(ndcg_at_10=0.31594, mrr_at_10=0.5)]))
    write(home / "Banking77.json", task("Banking77", test=[entry(accuracy=0.8)]))
    write(home / "model_meta.json", {"name": "sentence-transformers/all-MiniLM-L6-v2", "revision": REVISION})
    write(tmp_path / "mteb" / "package.json", {"name": "of something else"})
    done = embedbench("import-mteb", tmp_path / "mteb", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    where = f"sentence-transformers__all-MiniLM-L6-v2/{REVISION}/NFCorpus.json"
    assert done.output.splitlines() == [
        f"sentence-transformers/all-MiniLM-L6-v2 on NFCorpus (test): ndcg@10 0.3159: {tmp_path / 'out' / where}",
        "note: 1 has no retrieval measure: left out",
        "note: means only, without values per query: differences from them cannot be tested for significance",
    ]
    (found,) = results(tmp_path / "out").items()
    assert found[0] == where
    result, details = found[1], found[1].embedbench
    assert details.means == {"ndcg@10": 0.31594, "mrr@10": 0.5}
    assert (details.model.alias, details.model.revision) == ("minilm", REVISION), "the catalogue knows it"
    assert details.dataset.facts.domain == "medical"
    assert (details.origin, result.mteb_version, result.evaluation_time) == ("MTEB 1.38.9", "1.38.9", 2.5)
    unknown = (details.dataset.documents, details.dataset.queries, details.environment, details.load_seconds)
    assert unknown == (None,) * 4, "absent, not zero"
    assert (details.evidence.run, details.key, details.model.fingerprint) == ("", "", "")
    assert details.dataset.fingerprint == "mteb:NFCorpus/test@ec0f"
    assert result.scores["test"][0]["languages"] == ["eng-Latn"]


def test_a_card_of_published_numbers_says_so(tmp_path: Path) -> None:
    meta = {
        "name": "org/new", "revision": "r", "n_parameters": 595776512, "embed_dim": 1024, "max_tokens": 32768.0,
        "license": "apache-2.0", "reference": "https://huggingface.co/org/new", "memory_usage_mb": None,
    }  # fmt: skip
    write(tmp_path / "in" / "model_meta.json", meta)
    write(tmp_path / "in" / "NFCorpus.json", task(test=[entry(ndcg_at_10=0.4)]) | {"date": 1764000000.5})
    assert embedbench("import-mteb", tmp_path / "in", "--out", tmp_path / "out").exit_code == 0
    assert embedbench("card", tmp_path / "out", "--out", tmp_path / "cards").exit_code == 0
    card = parse((tmp_path / "cards" / "org__new.md").read_text("utf-8"))
    assert card.overview["Parameters"] == "595.8M"
    assert card.overview["Dimensions"] == "Dense: 1,024"
    assert card.overview["License"] == "apache-2.0"
    section = card.section("NFCorpus")
    assert "Numbers from MTEB 1.38.9" in section.text
    assert section.counts == {}
    assert section.quality["ndcg at 10"].value == 0.4
    assert card.metadata["last_updated"] == "2025-11-24"
    assert embedbench("lint", tmp_path / "out").exit_code == 0


def test_the_forms_of_old_versions(tmp_path: Path) -> None:
    old = {
        "dataset_revision": None,
        "mteb_dataset_name": "FiQA2018",
        "mteb_version": "1.1.1",
        "dev": {"evaluation_time": 3.0, "ndcg_at_10": 0.1},
        "test": {"evaluation_time": 4.0, "ndcg_at_10": 0.2, "map_at_10": 0.1},
    }
    subsets = {
        "mteb_dataset_name": "Many",
        "test": {"ar": {"ndcg_at_10": 0.3}, "de": {"ndcg_at_10": 0.4}, "evaluation_time": 1},
    }
    write(tmp_path / "in" / "FiQA2018.json", old)
    write(tmp_path / "in" / "Many.json", subsets)
    unnamed = embedbench("import-mteb", tmp_path / "in", "--out", tmp_path / "out")
    assert unnamed.exit_code == 1
    assert "FiQA2018.json: does not say which model it is of\n  fix: name it with --model" in unnamed.output
    assert not (tmp_path / "out").exists()
    done = embedbench("import-mteb", tmp_path / "in", "--out", tmp_path / "out", "--model", "org/old")
    assert done.exit_code == 0, done.output
    found = {Path(path).name: result for path, result in results(tmp_path / "out").items()}
    means = {name: result.embedbench.means["ndcg@10"] for name, result in found.items()}
    assert means == {"FiQA2018.json": 0.2, "FiQA2018@dev.json": 0.1, "Many_ar.json": 0.3, "Many_de.json": 0.4}
    assert found["FiQA2018.json"].scores["test"][0]["main_score"] == 0.2
    assert found["FiQA2018@dev.json"].evaluation_time == 3.0
    assert found["Many_ar.json"].mteb_version is None


def test_a_table_of_published_values(tmp_path: Path, shared: Path) -> None:
    table = shared / "reference" / "mteb_published.json"
    rows = json.loads(table.read_text("utf-8"))
    assert embedbench("import-mteb", table, "--out", tmp_path / "out").exit_code == 0
    found = results(tmp_path / "out")
    assert len(found) == len(rows) == 75
    wanted = sorted((row["model"], row["task"], row["split"], row["revision"], row["ndcg_at_10"]) for row in rows)
    assert wanted == sorted(
        (details.model.name, one.task_name, details.dataset.split, details.model.revision or "no_revision_available",
         details.means["ndcg@10"])
        for one in found.values() for details in [one.embedbench]
    )  # fmt: skip
    assert embedbench("lint", tmp_path / "out").exit_code == 0, "they are rounded as in the table"
    one = tmp_path / "out" / "Qwen__Qwen3-Embedding-0.6B"
    done = embedbench("compare", one, tmp_path / "out" / "Qwen__Qwen3-Embedding-4B")
    assert "Qwen/Qwen3-Embedding-4B on NFCorpus, ndcg@10: A 0.3671, B 0.4110, B - A +0.0439" in done.output
    assert (
        "not tested: Qwen/Qwen3-Embedding-0.6B / Qwen/Qwen3-Embedding-4B on NFCorpus: A and B have means only"
        in done.output
    )
    nfcorpus = next(row for row in rows if row["task"] == "NFCorpus")
    result = found[f"{nfcorpus['model'].replace('/', '__')}/{nfcorpus['revision']}/NFCorpus.json"]
    for name, value in result.embedbench.means.items():
        assert nfcorpus[parse_measure(name).mteb_name] == value


def test_our_results_through_mtebs_form_and_back(evaluate: Callable[[str], PairWork], tmp_path: Path) -> None:
    """test_mteb_reads_our_results.py does it with the package itself; it drops what it does not know, and rounds to 6 decimals."""
    work = evaluate("builtin")
    data = json.loads(work.path.read_text("utf-8"))
    del data["embedbench"]
    folder = tmp_path / "theirs" / work.path.relative_to(tmp_path / "results").parent
    write(folder / "builtin.json", data)
    (folder / "model_meta.json").write_text((work.path.parent / "model_meta.json").read_text("utf-8"), "utf-8")
    assert embedbench("import-mteb", tmp_path / "theirs", "--out", tmp_path / "out").exit_code == 0
    assert set(results(tmp_path / "out")) == set(results(tmp_path / "results")), "the same places"
    (result,) = results(tmp_path / "out").values()
    assert result.embedbench.means == work.means
    assert result.scores == work.result.scores
    assert (result.task_name, result.dataset_revision) == (work.result.task_name, work.result.dataset_revision)
    renamed = embedbench("import-mteb", folder, "--dataset", "builtin=mine", "--out", tmp_path / "named")
    assert renamed.exit_code == 0
    assert Path(next(iter(results(tmp_path / "named")))).name == "mine.json"
    refused = embedbench("import-mteb", folder / "builtin.json", "--out", tmp_path / "results")
    assert refused.exit_code == 1
    assert "was measured here, and is kept" in refused.output
    ours = embedbench("import-mteb", work.path, "--out", tmp_path / "x")
    assert "is a result of pytest-embedbench already" in ours.output


def test_published_means_are_compared_without_a_test(evaluate: Callable[[str], PairWork], tmp_path: Path) -> None:
    work = evaluate("builtin")
    mean = work.means["ndcg@10"]
    theirs = write(tmp_path / "theirs" / "builtin.json", task("builtin", test=[entry(ndcg_at_10=mean - 0.25)]))
    args = ["--model", "embedbench/bm25", "--out", str(tmp_path / "out")]
    assert embedbench("import-mteb", theirs, *args).exit_code == 0
    done = embedbench("compare", tmp_path / "out", tmp_path / "results", "--fail-on-regression")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        f"embedbench/bm25 on builtin, ndcg@10: A {mean - 0.25:.4f}, B {mean:.4f}, B - A +0.2500",
        "not tested: embedbench/bm25 on builtin: A has means only, so nothing can be tested",
    ]
    told = json.loads(embedbench("compare", tmp_path / "results", tmp_path / "out", "--json").output)
    (only,) = told["means_only"]
    assert (only["metric"], only["a"], only["b"]) == ("ndcg@10", mean, mean - 0.25)
    assert told["comparisons"] == told["not_compared"] == []
    lacking = embedbench("compare", tmp_path / "out", tmp_path / "results", "--metric", "recall@7")
    assert lacking.exit_code == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "is not JSON"),
        ('{"other": 1}', "is not a result of MTEB"),
        (json.dumps(task(test=[entry(ndcg_at_10=31.5)])), "test: ndcg_at_10 is 31.5, not between 0 and 1"),
        (json.dumps(task(test=[entry(ndcg_at_10=math.nan)])), "test: ndcg_at_10 is nan, not between 0 and 1"),
        (json.dumps(task(test=[entry(accuracy=0.5)])), "no scores of retrieval tasks"),
        (json.dumps(task() | {"scores": {"test": 3}}), "'scores' must hold"),
        (json.dumps(task(test=[entry(ndcg_at_10=0.1), entry(ndcg_at_10=0.2)])), "a second result for"),
    ],
)
def test_bad_files_are_named_and_nothing_is_written(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "org__m" / "r" / "NFCorpus.json"
    path.parent.mkdir(parents=True)
    path.write_text(content, encoding="utf-8")
    done = embedbench("import-mteb", path, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert problem in done.output
    assert str(path) in done.output
    assert not (tmp_path / "out").exists()


def test_broken_files_below_a_folder_are_left_out_and_counted(tmp_path: Path) -> None:
    home = tmp_path / "mteb" / "org__m" / REVISION
    write(home / "NFCorpus.json", task(test=[entry(ndcg_at_10=0.3)]))
    write(home / "SciFact.json", task("SciFact", test=[entry(ndcg_at_10=66.1)]))
    write(home / "TRECCOVID.json", task("TRECCOVID") | {"scores": {"test": 3}})
    (home / "ArguAna.json").write_text('{"task_name": "ArguAna", "sco', encoding="utf-8")
    (home / "FiQA2018.json").write_bytes(b"\xff\xfe{")
    done = embedbench("import-mteb", tmp_path / "mteb", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert [result.task_name for result in results(tmp_path / "out").values()] == ["NFCorpus"]
    lines = done.output.splitlines()
    for file, problem in {
        "ArguAna": ": is not JSON: ",
        "FiQA2018": ": is not JSON: ",
        "TRECCOVID": ": is not an MTEB result: 'scores' must hold",
        "SciFact": ": test: ndcg_at_10 is 66.1, not between 0 and 1",
    }.items():
        assert [line for line in lines if line.startswith(f"note: left out: {home / file}.json{problem}")], file
    assert "note: 4 could not be imported" in lines
    (home / "NFCorpus.json").unlink()
    nothing = embedbench("import-mteb", tmp_path / "mteb", "--out", tmp_path / "none")
    assert nothing.exit_code == 1, "an import of nothing is an error"
    assert f"{home / 'ArguAna'}.json: is not JSON" in nothing.output
    assert not (tmp_path / "none").exists()


def test_a_second_result_and_deep_nesting_below_a_folder_do_not_end_the_import(tmp_path: Path) -> None:
    home = tmp_path / "mteb" / "org__x" / "abc"
    write(home / "NFCorpus.json", task(test=[entry(ndcg_at_10=0.3)]))
    write(home / "again.json", task(test=[entry(ndcg_at_10=0.4)]))
    write(home / "other.json", task("SciFact", test=[entry(ndcg_at_10=0.5)]))
    (home / "deep.json").write_text("[" * 100_000, encoding="utf-8")
    done = embedbench("import-mteb", tmp_path / "mteb", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert sorted(result.task_name for result in results(tmp_path / "out").values()) == ["NFCorpus", "SciFact"]
    assert f"note: left out: {home / 'again'}.json: a second result for" in done.output
    assert f"note: left out: {home / 'deep'}.json: is not JSON: nested too deeply" in done.output
    assert "note: 2 could not be imported" in done.output.splitlines()


def test_bad_arguments(tmp_path: Path) -> None:
    assert "cannot be read" in embedbench("import-mteb", tmp_path / "nowhere.json", "--out", tmp_path / "o").output
    assert (
        "'x' is not TASK=NAME" in embedbench("import-mteb", tmp_path, "--out", tmp_path / "o", "--dataset", "x").output
    )
