"""A document's title in the prompt: what a model gets, what is stored, and what a suite may write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.test_reuse import reused

if TYPE_CHECKING:
    from tests.acceptance.conftest import Project

RECORDER = """
    import json
    import numpy as np

    WORDS = ["volcano", "whale", "bread", "castle"]

    def encode(texts, role):
        with open("given.jsonl", "a") as file:
            for text in texts:
                file.write(json.dumps([role, text]) + "\\n")
        rows = np.array([[text.casefold().count(word) for word in WORDS] for text in texts], dtype=float) + 1e-3
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
"""
DOCS = {"d1": ("Volcano", "It erupts."), "d2": ("", "Whales breathe air."), "d3": ("Bread", "")}
SUITE = """
    [embedbench]
    models = ["mine"]
    datasets = ["titled"]

    [models.mine]
    callable = "recorder:encode"
    revision = "1"
    document_prompt = 'title: {title | "none"} | text: '
"""


@pytest.fixture
def recorder(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project with a function that keeps the texts it gets, and a dataset whose documents have titles."""
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    project.write("pytest.ini", "[pytest]\npythonpath = .\n")
    project.write("recorder.py", RECORDER)
    project.write("embedbench.toml", SUITE)
    project.data("titled", queries={"q1": "volcano", "q2": "whale"}, qrels={"q1": {"d1": 1}, "q2": {"d2": 1}})
    corpus(project, DOCS)
    return project


def corpus(project: Project, docs: dict[str, tuple[str, str]]) -> None:
    lines = [json.dumps({"_id": key, "title": title, "text": text}) for key, (title, text) in docs.items()]
    (project.folder / "titled" / "corpus.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def given(project: Project) -> set[str]:
    """Return the documents that the function got, and forget them."""
    file = project.folder / "given.jsonl"
    texts = {text for role, text in map(json.loads, file.read_text().splitlines()) if role == "document"}
    file.unlink()
    return {text for text in texts if any(word in text for word in ("erupts", "breathe", "Bread"))}


def test_each_document_has_its_own_title_in_the_prompt(recorder: Project) -> None:
    result = recorder.run()
    assert result.ret == 0, recorder.text(result)
    assert given(recorder) == {
        "title: Volcano | text: It erupts.",
        "title: none | text: Whales breathe air.",
        "title: Bread | text: ",
    }
    stored = recorder.result("titled", model="mine").embedbench
    assert stored.model.facts.prompts == {"document": "title: {title} | text: "}
    assert stored.means["ndcg@10"] == 1.0
    # The data is the same as for a model without titles, so that the two can be compared.
    recorder.write("embedbench.toml", SUITE.replace("'title: {title | \"none\"} | text: '", '""'))
    assert not reused(recorder.run())
    assert "Volcano It erupts." in given(recorder)
    assert recorder.result("titled", model="mine").embedbench.dataset == stored.dataset


def test_a_title_that_moves_into_the_text_is_not_the_same_data(recorder: Project) -> None:
    recorder.run()
    assert reused(recorder.run())
    given(recorder)
    corpus(recorder, {**DOCS, "d1": ("", "Volcano It erupts.")})
    assert not reused(recorder.run())
    assert "title: none | text: Volcano It erupts." in given(recorder)


def test_load_profiles_and_variants_get_the_same_documents(recorder: Project) -> None:
    recorder.write("embedbench.toml", SUITE.replace('models = ["mine"]', 'models = ["mine@int8"]'))
    result = recorder.run("--embed-profile=b1 c1", "--embed-profile-seconds=0.1")
    assert result.ret == 0, recorder.text(result)
    assert given(recorder) == {
        "title: Volcano | text: It erupts.",
        "title: none | text: Whales breathe air.",
        "title: Bread | text: ",
    }


def test_a_text_of_a_python_test_has_no_title(recorder: Project) -> None:
    recorder.write(
        "test_mine.py",
        """
        import pytest

        @pytest.mark.embedbench(models=["mine"], datasets=["titled"])
        def test_encode(embed_model):
            assert embed_model.encode(["It erupts."]).shape == (1, 4)
            assert embed_model.facts.prompts == {"document": "title: {title} | text: "}
        """,
    )
    result = recorder.run("test_mine.py")
    result.assert_outcomes(passed=1)
    assert given(recorder) == {"title: none | text: It erupts."}


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ("title: {tittle} | text: ", ["models.mine.document_prompt", "nothing fills {tittle}", "did you mean 'title'"]),
        ("{foo} ", ["nothing fills {foo}", "{task} and {title}"]),
        ("title: {title} | text: {content}", ["nothing fills {content}", "the text follows it"]),
    ],
)
def test_braces_that_nothing_fills_are_an_error_before_anything_runs(
    recorder: Project, prompt: str, shown: list[str]
) -> None:
    recorder.write("recorder.py", "raise AssertionError('imported')")
    recorder.write("embedbench.toml", SUITE.replace("'title: {title | \"none\"} | text: '", f"'{prompt}'"))
    result = recorder.run()
    assert result.ret == 4
    text = recorder.text(result)
    for part in shown:
        assert part in text
    assert "imported" not in text
