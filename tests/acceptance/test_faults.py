"""What goes wrong is said clearly, costs no other pair its result, and leaves whole files or none."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.reports.cards import parse
from pytest_embedbench.results.trec import parse_run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.acceptance.conftest import Project


def whole_files(folder: Path) -> set[str]:
    """Names of the files below, each read to the end in its format."""
    names = set()
    for path in folder.rglob("*"):
        if not path.is_file() or path.name.startswith("."):
            continue
        text = path.read_text("utf-8")
        assert text.endswith("\n"), path
        if path.suffix == ".json":
            json.loads(text)
        elif path.suffix == ".jsonl":
            assert [json.loads(line) for line in text.splitlines()]
        elif path.suffix == ".trec":
            assert len(parse_run(text, path.name))
        elif path.suffix == ".md":
            parse(text)
        names.add(path.name)
    return names


def test_a_model_that_does_not_load_costs_only_its_own_items(project: Project) -> None:
    broken = project.model("broken")
    (broken / "model.safetensors").write_bytes(b"not weights")
    project.data()
    result = project.run("--embed-model=broken,minilm", "--embed-dataset=facts", "-k", "quality")
    result.assert_outcomes(failed=1, passed=4, skipped=3, deselected=2)
    result.stdout.fnmatch_lines(
        [
            "*broken on facts: quality?ndcg@10?*",
            "model 'broken': */broken/model.safetensors: the file * is cut off or damaged: *",
            "FAILED embedbench-default.toml::broken::facts::quality?ndcg@10? - */broken/model.safetensors: *",
        ]
    )
    assert "Traceback" not in project.text(result)
    assert {row["verdict"] for row in project.table(result) if row["model"] == "minilm"} == {"-"}
    assert project.result().embedbench.means["recall@1"] == 0.75
    assert project.card_text()


def test_nan_vectors_are_an_error_that_names_the_text(project: Project) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    model = project.model("sick")
    vocabulary = (model / "vocab.txt").read_text("utf-8").splitlines()
    tensors = load_file(model / "model.safetensors")
    name = next(key for key in tensors if key.endswith("word_embeddings.weight"))
    tensors[name][vocabulary.index("violin")] = torch.nan
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    project.data()
    result = project.run("--embed-model=sick,minilm", "--embed-dataset=facts", "-k", "ndcg")
    result.assert_outcomes(failed=1, passed=1, deselected=8)
    result.stdout.fnmatch_lines(["*the vector of document * is NaN or infinite (*'The violin has four*"])
    assert "Traceback" not in project.text(result)
    assert not list(project.folder.glob("embedbench-out/results/sick/**/*.json"))


def test_a_load_profile_over_nan_vectors_is_an_error_too(project: Project) -> None:
    project.data(queries={"q1": "tune a violin"}, qrels=None)
    import torch
    from safetensors.torch import load_file, save_file

    model = project.model("sick")
    tensors = load_file(model / "model.safetensors")
    name = next(key for key in tensors if key.endswith("word_embeddings.weight"))
    tensors[name][:] = torch.nan
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    result = project.run("--embed-model=sick", "--embed-dataset=facts", "--embed-profile=b1 c1", "-k", "budget")
    result.assert_outcomes(failed=1, deselected=4)
    assert "is NaN or infinite" in project.text(result)


def test_malformed_data_names_file_and_line(project: Project) -> None:
    project.data()
    path = project.folder / "facts" / "corpus.jsonl"
    path.write_text(path.read_text("utf-8") + '{"_id": "cut", "te', "utf-8")
    project.data("good")
    result = project.run("--embed-model=minilm", "--embed-dataset=facts,good", "-k", "ndcg")
    result.assert_outcomes(failed=1, passed=1, deselected=8)
    result.stdout.fnmatch_lines(["*facts/corpus.jsonl:7: *"])
    assert "Traceback" not in project.text(result)


def test_a_results_folder_that_is_a_file(project: Project) -> None:
    project.data()
    project.write("taken", "a file\n")
    result = project.run("--embed-model=minilm", "--embed-dataset=facts", "--embed-results=taken", "-k", "quality")
    assert result.ret != 0
    text = project.text(result)
    assert "taken" in text
    assert "annot write" in text
    assert "--embed-results" in text
    assert "Traceback" not in text
    assert "INTERNALERROR" not in text
    assert "def write_atomically" not in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_results_folder_without_permission(project: Project) -> None:
    project.data()
    (project.folder / "locked").mkdir(mode=0o500)
    result = project.run("--embed-model=minilm", "--embed-dataset=facts", "--embed-results=locked", "-k", "ndcg")
    result.stdout.fnmatch_lines(["*locked*annot write*"])
    assert "Traceback" not in project.text(result)


def test_an_unwritable_card_folder_does_not_hide_the_results(project: Project) -> None:
    project.data()
    project.write("taken", "a file\n")
    result = project.run("--embed-model=minilm", "--embed-dataset=facts", "--embed-card=taken", "-k", "ndcg")
    result.assert_outcomes(passed=1, deselected=4)
    result.stdout.fnmatch_lines(["result: */facts.json*", "card of *: not written: *taken*"])


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("# {{ card.title }}\n\n{{ card.nonsense }}\n", "template */mine.j2, line 3: UndefinedError: *nonsense*"),
        ("# {{ card.title }}\n{% if %}\n", "template */mine.j2, line 2: TemplateSyntaxError: *"),
        ("{{ card.__class__.__mro__ }}\n", "template */mine.j2, line 1: SecurityError: *"),
    ],
)
def test_an_error_in_a_users_template(project: Project, template: str, message: str) -> None:
    project.data()
    project.write("mine.j2", template)
    arguments = ("--embed-model=minilm", "--embed-dataset=facts", "-k", "ndcg", "--embed-card-template=mine.j2")
    result = project.run(*arguments)
    result.stdout.fnmatch_lines(["minilm * ndcg@10 * -", "result: */facts.json*", f"card of *: not written: {message}"])
    assert "Traceback" not in project.text(result)
    assert project.result().embedbench.means["recall@1"] == 0.75
    assert not list(project.folder.glob("embedbench-out/cards/*"))


def test_a_users_template_is_used(project: Project) -> None:
    project.data()
    project.write("mine.j2", "{{ card.title }} has {{ card.section('facts').quality['ndcg at 10'].text }}\n")
    arguments = ("--embed-model=minilm", "--embed-dataset=facts", "-k", "ndcg", "--embed-card-template=mine.j2")
    assert project.run(*arguments).ret == 0
    assert project.card_text() == "sentence-transformers/all-MiniLM-L6-v2 has 0.9077\n"


def test_a_kill_while_encoding_leaves_nothing_partial(project: Project) -> None:
    project.data("one")
    project.data("two")
    project.write(
        "conftest.py",
        """
        import os, signal
        from pytest_embedbench.models.local import sentence_transformer

        forward = sentence_transformer.SentenceTransformerModel.forward
        calls = []

        def dying(self, batch, role):
            calls.append(role)
            # Documents and queries of the first pair, then the documents of the second.
            if len(calls) == 4:
                os.kill(os.getpid(), signal.SIGKILL)
            return forward(self, batch, role)

        sentence_transformer.SentenceTransformerModel.forward = dying
        """,
    )
    # The two have the same texts, which the cache would know for the second one.
    arguments = ("--embed-model=minilm", "--embed-dataset=one,two", "-k", "ndcg", "--embed-no-cache")
    code, output = project.start(*arguments).finish()
    assert code == -signal.SIGKILL, output
    out = project.folder / "embedbench-out"
    assert whole_files(out) == {"one.json", "one.run.trec", "one.per-query.jsonl", "model_meta.json"}
    (project.folder / "conftest.py").unlink()
    result = project.run(*arguments)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["result: */one.json (reused:*", "result: */two.json, run: two.run.trec"])
    assert {"one.json", "two.json", "two.run.trec"} <= whole_files(out)


@pytest.mark.parametrize("write", [1, 3, 5])
def test_a_kill_while_writing_leaves_nothing_partial(project: Project, write: int) -> None:
    pytest.importorskip("bm25s")
    project.data()
    project.write(
        "conftest.py",
        f"""
        import os, signal

        replace, calls = os.replace, []

        def dying(*arguments):
            if str(arguments[0]).endswith(".part"):
                calls.append(arguments)
                if len(calls) == {write}:
                    os.kill(os.getpid(), signal.SIGKILL)
            return replace(*arguments)

        os.replace = dying
        """,
    )
    arguments = ("--embed-model=bm25", "--embed-dataset=facts", "-k", "ndcg")
    code, output = project.start(*arguments).finish()
    assert code == -signal.SIGKILL, output
    assert len(whole_files(project.folder / "embedbench-out")) == write - 1
    (project.folder / "conftest.py").unlink()
    assert project.run(*arguments).ret == 0
    assert len(whole_files(project.folder / "embedbench-out")) == 5
