"""Python functions and static embeddings in whole runs: their cards, what is used again, and what is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.test_reuse import reused

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

WORDS = """
    import re
    import numpy as np

    WORDS = ["volcano", "whale", "breathe", "sourdough", "bread", "castle", "medieval"]

    def encode(texts, role):
        rows = np.array([[text.casefold().count(word) for word in WORDS] for text in texts], dtype=float) + 1e-3
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
"""
MODEL = "words_of_mine_encode"
"""``words_of_mine:encode`` as the name of a folder."""


@pytest.fixture
def function(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project whose pytest finds the module ``words_of_mine`` beside its settings."""
    monkeypatch.setattr("sys.dont_write_bytecode", True)  # the module changes within a second
    project.data()
    project.write("pytest.ini", "[pytest]\npythonpath = .\n")
    project.write("words_of_mine.py", WORDS)
    return project


def run(project: Project, *arguments: str | Path) -> pytest.RunResult:
    return project.run("--embed-model", "words_of_mine:encode", "--embed-dataset", "facts", *arguments)


def test_a_function_is_a_model(function: Project) -> None:
    result = run(function)
    assert result.ret == 0, function.text(result)
    assert "counts as one" not in (table := function.table(result))[0]["model"]
    assert {row["model"] for row in table} == {"words_of_mine:encode"}
    assert "words_of_mine:encode: a function does not tell its tokens" in function.text(result)
    details = function.result(model=MODEL).embedbench
    assert details.means["ndcg@10"] > 0.75
    assert (details.model.spec.kind, details.model.spec.callable) == ("callable", "words_of_mine:encode")
    assert (details.model.facts.dimensions, details.model.facts.normalized) == (7, True)
    card = function.card_text(MODEL)
    assert "words_of_mine:encode" in card
    assert "| Dimensions | Dense: 7 |" in card


def test_a_functions_results_are_used_again_until_its_code_changes(function: Project) -> None:
    assert not reused(run(function))
    assert reused(run(function))
    function.write("words_of_mine.py", WORDS.replace('"medieval"]', '"medieval", "moat"]'))
    assert not reused(run(function))
    assert function.result(model=MODEL).embedbench.model.facts.dimensions == 8
    assert reused(run(function))


LENGTHS = """
    import numpy as np
    from words_of_mine import encode

    def longer(texts, role):
        return encode(texts, role) * [[1.0 + 30 * text.startswith("Green tea")] for text in texts]
"""
"""The same directions; a document about tea is so long that it wins every inner product."""

SUITE = """
    [embedbench]
    datasets = ["facts"]
    [models.long]
    callable = "lengths:longer"
"""


def test_the_similarity_ranks_and_is_said_and_decides_what_is_used_again(function: Project) -> None:
    function.write("lengths.py", LENGTHS)
    function.write("embedbench.toml", SUITE)
    assert function.run().ret == 0
    details = function.result(model="long").embedbench
    assert details.model.facts.similarity == "cosine"
    assert details.means["ndcg@10"] > 0.75
    assert "| Similarity | cosine |" in function.card_text("long")
    assert reused(function.run())
    function.write("embedbench.toml", f"{SUITE}    similarity = 'dot'\n")
    changed = function.run()
    assert not reused(changed)
    dot = function.result(model="long").embedbench
    assert (dot.model.facts.similarity, dot.effort["corpus_cached_texts"]) == ("dot", 6)
    assert dot.means["ndcg@10"] < details.means["ndcg@10"]
    assert "| Similarity | dot |" in function.card_text("long")
    run = (function.result_path(model="long").parent / dot.evidence.run).read_text(encoding="utf-8")
    assert all(line.split()[2] == "tea" for line in run.splitlines() if line.split()[3] == "1")


def test_a_model_without_its_normalization_scores_as_before(project: Project) -> None:
    project.data()
    folder = project.model()
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    assert modules.pop()["type"].endswith("Normalize")
    (folder / "modules.json").write_text(json.dumps(modules), "utf-8")
    for model in ("minilm", "minilm@int8", folder, f"{folder}@int8"):
        assert project.run("--embed-model", model, "--embed-dataset", "facts").ret == 0
    whole, small, ours, our_small = (
        project.result(model=name).embedbench for name in ("*MiniLM-L6-v2", "*MiniLM*int8", "copy", "copy*int8")
    )
    assert (whole.model.facts.normalized, ours.model.facts.normalized) == (True, False)
    assert (ours.means, our_small.means) == (whole.means, small.means)


def test_the_cache_does_not_answer_for_changed_code(function: Project) -> None:
    run(function)
    before = function.result(model=MODEL).embedbench.effort
    assert before["corpus_cached_texts"] == 0
    shutil.rmtree(function.folder / "embedbench-out")
    run(function)
    assert function.result(model=MODEL).embedbench.effort["corpus_cached_texts"] == 6
    shutil.rmtree(function.folder / "embedbench-out")
    function.write("words_of_mine.py", WORDS.replace("1e-3", "1e-2"))
    run(function)
    assert function.result(model=MODEL).embedbench.effort["corpus_cached_texts"] == 0


def test_a_variant_and_a_profile_of_a_defined_function(function: Project) -> None:
    function.write(
        "embedbench.toml",
        """
        [embedbench]
        models = ["mine", "mine@dim=3@int8"]
        datasets = ["facts"]
        profiles = ["b1 c2"]

        [models.mine]
        callable = "words_of_mine:encode"
        query_prompt = "whale "

        [[checks]]
        profile = "b1 c2"
        budget = ["query mean < 10 s"]
        """,
    )
    result = function.run("--embed-profile-seconds", "0.2")
    assert result.ret == 0, function.text(result)
    facts = function.result(model="mine@dim=3@int8").embedbench.model.facts
    assert (facts.dimensions, facts.bytes_per_vector, facts.prompts) == (3, 3, {"query": "whale "})


def test_nothing_is_imported_while_collecting(function: Project) -> None:
    function.write("words_of_mine.py", "raise AssertionError('imported')")
    result = run(function, "--collect-only")
    assert result.ret == 0, function.text(result)
    assert "words_of_mine:encode" in function.text(result)
    failed = run(function)
    assert failed.ret == 1
    expected = "model words_of_mine:encode: words_of_mine cannot be imported: AssertionError: imported"
    assert expected in function.text(failed)


def test_a_module_that_is_not_there_fails_with_the_fix(project: Project) -> None:
    project.data()
    result = project.run("--embed-model", "words_of_nobody:encode", "--embed-dataset", "facts")
    assert result.ret == 1
    text = project.text(result)
    assert "model words_of_nobody:encode: there is no module 'words_of_nobody'" in text
    assert 'fix: install it, or put its folder on Python\'s path: pythonpath = ["."]' in text


def test_a_static_embedding_is_a_model(project: Project, static_folder: Path) -> None:
    project.data()
    shutil.copytree(static_folder, project.folder / "static")
    first = project.run("--embed-model", "static", "--embed-dataset", "facts")
    assert first.ret == 0, project.text(first)
    facts = project.result(model="static").embedbench.model.facts
    assert (facts.architecture, facts.max_tokens) == ("StaticEmbedding", None)
    card = project.card_text("static")
    assert "| Architecture | StaticEmbedding |" in card
    assert "Max sequence length" not in card
    assert reused(project.run("--embed-model", "static", "--embed-dataset", "facts"))
    weights = bytearray((project.folder / "static" / "model.safetensors").read_bytes())
    weights[-2] ^= 1
    (project.folder / "static" / "model.safetensors").write_bytes(weights)
    assert not reused(project.run("--embed-model", "static", "--embed-dataset", "facts"))


def test_both_are_what_they_are_said_to_be(function: Project, static_folder: Path) -> None:
    function.conformance = True
    shutil.copytree(static_folder, function.folder / "static")
    sense = 'skip_probes = ["sanity"]'  # they have none
    function.write(
        "embedbench.toml",
        f"""
        [embedbench]
        datasets = ["facts"]
        [models.mine]
        callable = "words_of_mine:encode"
        {sense}
        [models.random]
        path = "static"
        {sense}
        """,
    )
    result = function.run("-k", "conformance")
    assert result.ret == 0, function.text(result)
    passed = result.parseoutcomes()["passed"]
    assert passed >= 14, "seven probes each, at the least"
