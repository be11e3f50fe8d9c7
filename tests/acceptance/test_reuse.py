"""A stored run is used again where nothing that decides the ranking has changed, and only there."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.results.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_embedbench.results.schema import Details
    from tests.acceptance.conftest import Project

REUSED = "(reused: same model, data and settings)"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the first run's files are kept for the tests after the first."""
    return tmp_path_factory.mktemp("reuse") / "project"


@pytest.fixture
def evaluated(project: Project, kept: Path) -> Project:
    """Return a project with a model of its own and a first run behind it, which is done once."""
    suite(project)
    if not kept.exists():
        project.data()
        assert not reused(project.run())
        shutil.copytree(project.folder / "facts", kept / "facts")
        shutil.copytree(project.folder / "embedbench-out", kept / "embedbench-out")
    shutil.copytree(kept, project.folder, dirs_exist_ok=True)
    return project


def suite(project: Project, more: str = "", settings: str = "") -> None:
    """Write a suite with a model of our own."""
    if not (project.folder / "mine").exists():
        project.model("mine")
    project.write(
        "embedbench.toml",
        f"[embedbench]\nmodels = ['mine']\ndatasets = ['facts']\nmetrics = ['ndcg@10', 'recall@1']\n{settings}\n"
        f"[models.mine]\npath = 'mine'\n{more}\n",
    )


def reused(result: pytest.RunResult) -> bool:
    """Was the stored run used? The run must have passed."""
    assert result.ret == 0
    (line,) = [line for line in result.outlines if line.startswith("result: ")]
    return REUSED in line


def of_both_states(project: Project, before: Details) -> Details:
    """Return the result of a model whose files were changed; the earlier one lies beside it, unchanged."""
    paths = project.folder.glob("embedbench-out/results/mine/sha256-*/facts.json")
    found = [result.embedbench for path in paths if (result := Store(path.parent).load(path))]
    (after,) = [details for details in found if details.model.revision != before.model.revision]
    assert [details for details in found if details is not after] == [before]
    return after


def test_a_second_run_reuses_and_changes_nothing(evaluated: Project) -> None:
    files = {path: path.read_bytes() for path in (evaluated.folder / "embedbench-out").rglob("*") if path.is_file()}
    stamps = {path: path.stat().st_mtime_ns for path in files if path.suffix in {".json", ".trec", ".jsonl"}}
    assert reused(evaluated.run())
    assert {path: path.read_bytes() for path in files} == files
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps, "nothing was written again"


def test_a_second_run_does_not_load_the_model(evaluated: Project) -> None:
    evaluated.write(
        "conftest.py",
        """
        import sys

        def pytest_unconfigure():
            assert "pytest_embedbench.engine.workbench" in sys.modules
            loaded = {"sentence_transformers", "transformers"} & set(sys.modules)
            assert not loaded, loaded
        """,
    )
    result = evaluated.spawn_anew()
    assert reused(result)
    assert "AssertionError" not in evaluated.text(result)


def test_a_new_measure_is_computed_from_the_stored_run(evaluated: Project) -> None:
    evaluated.write(
        "embedbench.toml",
        "[embedbench]\nmodels = ['mine']\ndatasets = ['facts']\nmetrics = ['recall@2']\n[models.mine]\npath = 'mine'\n",
    )
    assert reused(evaluated.run())
    assert evaluated.result(model="mine").embedbench.means["recall@2"] == 1.0
    assert '"recall@2":' in evaluated.result_path(model="mine").with_suffix(".per-query.jsonl").read_text("utf-8")


def test_a_deeper_measure_needs_a_deeper_run(evaluated: Project) -> None:
    evaluated.write(
        "embedbench.toml",
        "[embedbench]\nmodels = ['mine']\ndatasets = ['facts']\nmetrics = ['recall@500']\n[models.mine]\npath = 'mine'\n",
    )
    assert not reused(evaluated.run())
    assert evaluated.result(model="mine").embedbench.depth == 500


def test_a_changed_document_is_encoded(evaluated: Project) -> None:
    before = evaluated.result(model="mine").embedbench
    path = evaluated.folder / "facts" / "corpus.jsonl"
    path.write_text(path.read_text("utf-8").replace("Green tea", "Black tea"), "utf-8")
    result = evaluated.run()
    assert not reused(result)
    result.stdout.fnmatch_lines(["note: mine on facts: the stored result is replaced, *: other data*"])
    after = evaluated.result(model="mine").embedbench
    assert after.dataset.fingerprint != before.dataset.fingerprint
    assert after.evidence.run_sha256 != before.evidence.run_sha256


def test_a_changed_judgment_is_scored(evaluated: Project) -> None:
    path = evaluated.folder / "facts" / "qrels" / "test.tsv"
    path.write_text(path.read_text("utf-8").replace("q4\tviolin", "q4\tcastle"), "utf-8")
    evaluated.run()
    assert evaluated.result(model="mine").embedbench.means["recall@1"] == 1.0


def test_a_changed_prompt_is_used(evaluated: Project) -> None:
    before = evaluated.result(model="mine").embedbench.evidence.run_sha256
    suite(evaluated, "query_prompt = 'tea tea tea: '")
    result = evaluated.run()
    assert not reused(result)
    result.stdout.fnmatch_lines(["note: mine on facts: *replaced*: query_prompt None -> 'tea tea tea: '"])
    assert evaluated.result(model="mine").embedbench.evidence.run_sha256 != before


def test_a_changed_length_is_used(evaluated: Project) -> None:
    before = evaluated.result(model="mine").embedbench.evidence.run_sha256
    suite(evaluated, "max_seq_length = 5")
    assert not reused(evaluated.run())
    assert evaluated.result(model="mine").embedbench.evidence.run_sha256 != before


def test_changed_weights_are_loaded(evaluated: Project) -> None:
    from safetensors.torch import load_file, save_file

    assert reused(evaluated.run())
    before = evaluated.result(model="mine").embedbench
    weights = evaluated.folder / "mine" / "model.safetensors"
    tensors = load_file(weights)
    name = next(key for key in tensors if key.endswith("word_embeddings.weight"))
    tensors[name] = tensors[name].flip(0).contiguous()
    weights.unlink()
    save_file(tensors, weights, metadata={"format": "pt"})
    assert not reused(evaluated.run())
    after = of_both_states(evaluated, before)
    assert after.model.fingerprint != before.model.fingerprint
    assert after.means["ndcg@10"] < before.means["ndcg@10"]


def test_changed_pooling_is_used(evaluated: Project) -> None:
    before = evaluated.result(model="mine").embedbench
    path = evaluated.folder / "mine" / "1_Pooling" / "config.json"
    config = {**json.loads(path.read_text("utf-8")), "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    if "pooling_mode" in config:
        config["pooling_mode"] = "cls"
    path.write_text(json.dumps(config), "utf-8")
    assert not reused(evaluated.run())
    after = of_both_states(evaluated, before)
    assert after.model.facts.pooling == "cls"
    assert after.evidence.run_sha256 != before.evidence.run_sha256


def test_another_dtype_is_computed(evaluated: Project) -> None:
    assert not reused(evaluated.run("--embed-dtype=bf16"))
    assert evaluated.result(model="mine").embedbench.model.facts.dtype == "bf16"
    suite(evaluated, settings="dtype = 'bf16'")
    assert reused(evaluated.run()), "the suite says now what the command line said"


def test_fresh_encodes_again(evaluated: Project) -> None:
    before = evaluated.result_path(model="mine").stat().st_mtime_ns
    assert not reused(evaluated.run("--embed-fresh"))
    assert evaluated.result_path(model="mine").stat().st_mtime_ns != before


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_run_file_is_made_again(evaluated: Project, damage: str) -> None:
    run = evaluated.result_path(model="mine").with_suffix(".run.trec")
    whole = run.read_text("utf-8")
    if damage == "gone":
        run.unlink()
    else:
        run.write_text(whole[: len(whole) // 2] if damage == "cut" else whole.replace("violin", "violet"), "utf-8")
    assert not reused(evaluated.run())
    assert run.read_text("utf-8") == whole


def test_a_missing_per_query_file_is_made_again(evaluated: Project) -> None:
    path = evaluated.result_path(model="mine").with_suffix(".per-query.jsonl")
    whole = path.read_text("utf-8")
    path.unlink()
    assert reused(evaluated.run())
    assert path.read_text("utf-8") == whole


def test_a_damaged_result_file_is_named(evaluated: Project) -> None:
    path = evaluated.result_path(model="mine")
    path.write_bytes(path.read_bytes()[:200])
    result = evaluated.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*/mine/*/facts.json: not a pytest-embedbench result: *", "*fix: delete it*"])
    assert "Traceback" not in evaluated.text(result)
    path.unlink()
    assert not reused(evaluated.run())


def test_profiles_stay_beside_a_reused_run(evaluated: Project) -> None:
    assert reused(evaluated.run("--embed-profile=b1 c1"))
    evaluated.run("--embed-profile=b1 c2")
    result = evaluated.result(model="mine").embedbench
    assert set(result.profiles) == {"b1 c1", "b1 c2"}
    assert all((evaluated.result_path(model="mine").parent / file).is_file()
               for sides in result.evidence.samples.values() for file in sides.values())  # fmt: skip
    assert reused(evaluated.run())
