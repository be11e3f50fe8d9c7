"""Conformance probes as test items: on for every model, kept, told once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.conformance.probes import PROBES

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

OF_MINILM = [probe for probe in PROBES if probe not in {"roles", "matryoshka", "parity"}]
"""It has no prompts, declares no shorter vectors and no reference."""

OF_UNKNOWN = [*(probe for probe in OF_MINILM if probe != "prompts"), "roles"]
"""What the catalogue does not know may have prompts, and there are none to compare them with."""


@pytest.fixture
def probed(project: Project) -> Project:
    """Return a project whose runs probe their models."""
    project.conformance = True
    return project


def test_every_model_is_probed_before_its_first_dataset(probed: Project) -> None:
    probed.suite("ndcg@10 >= 0.1")
    result = probed.run("--collect-only", "-q")
    ids = [line for line in result.outlines if "::" in line]
    assert ids == [
        *(f"embedbench.toml::minilm::conformance[{probe}]" for probe in OF_MINILM),
        "embedbench.toml::minilm::facts::quality[ndcg@10]",
    ]


def test_what_passes_is_one_row_and_its_numbers_are_on_disk(probed: Project) -> None:
    probed.suite("ndcg@10 >= 0.1")
    result = probed.run()
    result.assert_outcomes(passed=len(OF_MINILM) + 1)
    rows = [row for row in probed.table(result) if row["check"].startswith("conformance")]
    assert [(row["model"], row["measured"], row["verdict"]) for row in rows] == [
        ("minilm", f"{len(OF_MINILM)} passed", "pass")
    ]
    (path,) = (probed.folder / "embedbench-out" / "results").glob("*/*/conformance.jsonl")
    stored = {record["probe"]: record["outcome"] for record in map(json.loads, path.read_text("utf-8").splitlines())}
    assert list(stored) == OF_MINILM
    invariance = stored["batch-invariance"]
    assert invariance["value"] == max(invariance["values"].values())


def test_an_unchanged_model_is_not_asked_again_and_a_fresh_run_asks(probed: Project) -> None:
    probed.suite()
    probed.run("-k", "conformance")
    (path,) = (probed.folder / "embedbench-out" / "results").glob("*/*/conformance.jsonl")
    before = path.read_text("utf-8")
    again = probed.spawn("-k", "conformance", "-p", "no:cacheprovider")
    again.assert_outcomes(passed=len(OF_MINILM), deselected=1)
    assert path.read_text("utf-8") == before
    probed.run("-k", "conformance and order", "--embed-fresh")
    asked = {record["probe"]: record["asked_at"] for record in map(json.loads, path.read_text("utf-8").splitlines())}
    old = {record["probe"]: record["asked_at"] for record in map(json.loads, before.splitlines())}
    assert asked["order"] > old["order"]
    assert {name for name in asked if asked[name] == old[name]} == set(OF_MINILM) - {"order"}


def test_a_failing_probe_says_what_usually_causes_it(probed: Project) -> None:
    folder = probed.model("unpooled")
    pooling = next(folder.glob("*ooling/config.json"))
    config = json.loads(pooling.read_text("utf-8"))
    key = "pooling_mode_mean_tokens" if "pooling_mode_mean_tokens" in config else "pooling_mode"
    pooling.write_text(json.dumps({**config, key: False, "pooling_mode_max_tokens": True} if "_mean_" in key else {
        **config, "pooling_mode": "max"}), "utf-8")  # fmt: skip
    probed.data()
    probed.write(
        "embedbench.toml",
        """
        [embedbench]
        models = ["mine"]
        datasets = ["facts"]
        [models.mine]
        path = "unpooled"
        pooling = "mean"
        normalized = true
        """,
    )
    result = probed.run("-k", "declaration")
    result.assert_outcomes(failed=1, deselected=len(OF_UNKNOWN))
    text = probed.text(result)
    assert "it pools by 'max', 'mean' is declared" in text
    assert "usual cause: modules.json or 1_Pooling/config.json is missing or edited" in text
    assert "Traceback" not in text
    (row,) = probed.table(result)
    assert (row["model"], row["check"], row["measured"], row["verdict"]) == (
        "mine", "conformance[declaration]", "1 of 1 differ", "FAIL",
    )  # fmt: skip


def test_parity_compares_with_the_reference_and_both_sides_go_on(probed: Project) -> None:
    probed.model("same")
    probed.data()
    probed.write(
        "embedbench.toml",
        """
        [embedbench]
        models = ["same"]
        datasets = ["facts"]
        [models.same]
        path = "same"
        reference = "minilm"
        """,
    )
    result = probed.run()
    # Parity and the pair's check are more. Nothing declares how it pools, and it has no prompts: two are skipped.
    result.assert_outcomes(passed=len(OF_UNKNOWN) - 2 + 2, skipped=2)
    assert "parity" in (next(probed.folder.rglob("conformance.jsonl"))).read_text("utf-8")


@pytest.mark.parametrize(
    ("reference", "said"),
    [("bm25", "'bm25' has no vectors to compare"), ("minilmm", "models.mine.reference: unknown model 'minilmm'")],
)
def test_a_reference_that_cannot_be_one_ends_the_session(probed: Project, reference: str, said: str) -> None:
    probed.model("copy")
    probed.data()
    probed.write(
        "embedbench.toml",
        f"""
        [embedbench]
        datasets = ["facts"]
        [models.mine]
        path = "copy"
        reference = "{reference}"
        """,
    )
    result = probed.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in probed.text(result)


def test_probes_can_be_left_out_by_model_by_suite_and_by_option(probed: Project) -> None:
    probed.model("copy")
    probed.data()
    suite = """
        [embedbench]
        datasets = ["facts"]
        {more}
        [models.mine]
        path = "copy"
        skip_probes = ["context", "sanity"]
        """
    probed.write("embedbench.toml", suite.format(more=""))
    shown = probed.text(probed.run("--collect-only", "-q"))
    assert "conformance[order]" in shown
    assert "conformance[context]" not in shown
    assert "conformance[sanity]" not in shown
    assert "conformance" not in probed.text(probed.run("--collect-only", "-q", "--embed-no-conformance"))
    probed.write("embedbench.toml", suite.format(more="conformance = false"))
    assert "conformance[" not in probed.text(probed.run("--collect-only", "-q"))
    probed.write("embedbench.toml", suite.format(more="").replace('"context"', '"contxt"'))
    wrong = probed.run("--collect-only")
    assert wrong.ret == pytest.ExitCode.USAGE_ERROR
    assert "models.mine.skip_probes" in probed.text(wrong)


def test_variants_are_probed_once_and_a_lexical_reference_never(probed: Project) -> None:
    probed.suite()
    models = "minilm,minilm@int8,minilm@dim=128,bm25"
    ids = [
        line for line in probed.run("--collect-only", "-q", "--embed-model", models).outlines if "conformance[" in line
    ]
    assert len(ids) == len(OF_MINILM)
    assert all("::minilm::" in line for line in ids)


def test_a_model_that_does_not_load_fails_one_probe_and_all_others_refer_to_it(probed: Project) -> None:
    folder = probed.model("broken")
    next(folder.rglob("*.safetensors")).write_bytes(b"nothing")
    probed.data()
    probed.write("embedbench.toml", '[embedbench]\ndatasets = ["facts"]\n[models.mine]\npath = "broken"\n')
    result = probed.run("-rs")
    result.assert_outcomes(failed=1, skipped=len(OF_UNKNOWN))  # all other probes, and the pair's own check
    assert "not run: see mine::conformance[dimension]" in probed.text(result)


def test_xdist_keeps_a_models_probes_with_its_first_pair(probed: Project) -> None:
    probed.suite("ndcg@10 >= 0.1")
    result = probed.spawn("-n", "2", "-v", "--embed-only")
    result.assert_outcomes(passed=len(OF_MINILM) + 1)
    workers = {line.split("]")[0] for line in result.outlines if "PASSED" in line}
    assert len(workers) == 1


def test_what_could_not_be_checked_has_a_row_of_its_own(probed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    probed.data()
    probed.write("pytest.ini", "[pytest]\npythonpath = .\n")
    probed.write(
        "mine.py",
        """
        import numpy as np
        def encode(texts, role):
            return np.array([[text.count(letter) + 1e-3 for letter in "abcdefghij"] for text in texts])
        """,
    )
    probed.write("embedbench.toml", '[embedbench]\nmodels = ["mine:encode"]\ndatasets = ["facts"]\n')
    result = probed.run("-k", "context or dimension")
    rows = {row["check"]: row["verdict"] for row in probed.table(result) if row["check"].startswith("conformance")}
    assert set(rows) == {"conformance", "conformance[context]"}
    assert "not checked: whether texts are cut early" in rows["conformance[context]"]
