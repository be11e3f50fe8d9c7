"""Prompts: what fills their braces, and which of a checkpoint's prompts are taken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from pytest_embedbench.core.parsing import ParseError
from pytest_embedbench.datasets.types import ROLES, Dataset, Role
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
from pytest_embedbench.models.prompts import Place, declaration_notice, declared_prompt, filled, prompt_parts
from pytest_embedbench.models.spec import DEFAULT_TASK, ModelSpec, NamedModel

GEMMA = "title: {title} | text: "
WORDS = st.text(alphabet="ab {}|:\n", max_size=8)


def dataset(**title_and_text: tuple[str, str]) -> Dataset:
    return Dataset(
        name="d",
        split="test",
        doc_ids=list(title_and_text),
        doc_texts=[f"{title} {text}".strip() for title, text in title_and_text.values()],
        query_ids=[],
        query_texts=[],
        qrels={},
        title_lengths={doc: len(title) for doc, (title, _) in title_and_text.items() if title},
    )


def gemma(prompt: str = GEMMA, **keys: Any) -> NamedModel:
    return NamedModel(alias="g", spec=ModelSpec(hub="org/gemma", document_prompt=prompt, **keys))


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("passage: ", ["passage: "]),
        ("", []),
        (GEMMA, ["title: ", Place("title"), " | text: "]),
        ('title: {title | "none"} | text: ', ["title: ", Place("title", "none"), " | text: "]),
        ("{title|'-'}: ", [Place("title", "-"), ": "]),
        ('{title | ""}{task}', [Place("title", ""), Place("task")]),
        ('{{"a": {task}}} ', ["{", '"a": ', Place("task"), "}", " "]),
    ],
)
def test_parts_of_a_prompt(prompt: str, parts: list[str | Place]) -> None:
    assert prompt_parts(prompt, "document") == parts


@pytest.mark.parametrize(
    ("prompt", "role", "problem", "fix"),
    [
        ("{tittle} ", "document", "nothing fills {tittle}", "did you mean 'title'"),
        ("{taks} ", "query", "nothing fills {taks}: known in a query's prompt is {task}", "did you mean 'task'"),
        ("{foo} ", "document", "known in a document's prompt are {task} and {title}", "{{ and }}"),
        ("{title} ", "query", "nothing fills {title}", "only documents have titles"),
        ("Q: {query}", "query", "nothing fills {query}", "the text follows it"),
        ("{title} {content}", "document", "nothing fills {content}", "the text follows it"),
        ("{} ", "document", "nothing fills {}", "{{ and }}"),
        ("{task ", "query", "the brace '{' has no counterpart", "{{ and }}"),
        ("task} ", "query", "the brace '}' has no counterpart", "{{ and }}"),
        ("{{task} ", "query", "the brace '}' has no counterpart", "{{ and }}"),
    ],
)
def test_braces_that_nothing_fills(prompt: str, role: Role, problem: str, fix: str) -> None:
    with pytest.raises(ParseError) as caught:
        prompt_parts(prompt, role)
    assert problem in caught.value.problem
    assert fix in caught.value.fix


@given(text=WORDS, task=WORDS, title=WORDS)
def test_a_prompt_holds_its_text_task_and_title_as_they_are(text: str, task: str, title: str) -> None:
    escaped = text.replace("{", "{{").replace("}", "}}")
    parts = prompt_parts(f"{escaped}{{task}}{escaped}{{title}}", "document")
    assert filled(parts, task, title) == f"{text}{task}{text}{title or 'none'}"


def test_documents_with_and_without_a_title_get_the_prompt_that_gemma_was_trained_with() -> None:
    data = dataset(d1=("Whales", "They breathe."), d2=("", "No title."), d3=("Only a title", ""))
    model = gemma().on_task("")
    rendered = [f"{model.prompts['document']}{text}" for text in model.as_given(data).doc_texts]
    assert rendered == [
        "title: Whales | text: They breathe.",
        "title: none | text: No title.",
        "title: Only a title | text: ",
    ]
    assert gemma().prompts["document"] == "title: none | text: ", "without a dataset no text has a title"


def test_equal_texts_under_other_titles_are_other_documents() -> None:
    data = dataset(d1=("A", "B C"), d2=("A B", "C"), d3=("", "A B C"))
    assert len(set(data.doc_texts)) == 1
    given = gemma().on_task("").as_given(data)
    assert len(set(given.doc_texts)) == 3
    assert given.fingerprint != data.fingerprint


def test_a_title_may_stand_twice_and_beside_the_task() -> None:
    model = gemma("{task}: {title} / {title | '-'} = ", task="Find").on_task("")
    data = model.as_given(dataset(d1=("T", "x"), d2=("", "y")))
    assert (model.prompts["document"], data.doc_texts) == ("Find: ", ["T / T = x", "none / - = y"])
    assert model.stated_prompts({"document": "Find: "}) == {"document": "Find: {title} / {title} = "}


@pytest.mark.parametrize("prompt", ["passage: ", "", None])
def test_without_a_place_for_it_a_title_stands_before_the_text(prompt: str | None) -> None:
    data = dataset(d1=("Whales", "They breathe."))
    model = NamedModel(alias="m", spec=ModelSpec(hub="org/m", document_prompt=prompt)).on_task("")
    assert model.as_given(data) is data
    assert (model.prompts["document"], model.titled) == (prompt, False)


def test_variants_and_bases_of_a_titled_model() -> None:
    model = gemma().on_task("")
    small = model.as_variant(model.variant)
    assert small.titled
    assert not model.base.titled
    assert model.base.prompts["document"] == "title: none | text: "


def test_the_task_of_a_dataset_stands_in_its_place() -> None:
    model = NamedModel(alias="q", spec=ModelSpec(hub="org/q", query_prompt="Instruct: {task}\nQuery:"))
    assert model.on_task("Find {it}").prompts["query"] == "Instruct: Find {it}\nQuery:"
    assert model.prompts["query"] == f"Instruct: {DEFAULT_TASK}\nQuery:"


DECLARED: list[tuple[dict[str, str], str | None]] = [
    ({"query": "ask: ", "document": "tell: "}, None),
    ({"query": "ask: ", "passage": "tell: "}, None),
    ({"query": "ask: ", "corpus": "tell: ", "passage": "text: "}, "passage"),
    ({"query": "", "document": "", "passage": "tell: "}, "passage"),
    ({"retrieval": "find: "}, "retrieval"),
    ({"document": "title: {title} | text: "}, "document"),
    ({}, None),
]


@pytest.mark.parametrize(("declared", "default"), DECLARED)
def test_prompts_are_those_of_encode_query_and_encode_document(
    static_folder: Path, tmp_path: Path, declared: dict[str, str], default: str | None
) -> None:
    folder = Path(shutil.copytree(static_folder, tmp_path / "model"))
    config = folder / "config_sentence_transformers.json"
    config.write_text(
        json.dumps({**json.loads(config.read_text()), "prompts": declared, "default_prompt_name": default})
    )
    theirs = SentenceTransformer(str(folder), device="cpu")
    named = NamedModel(alias="m", spec=ModelSpec(path=str(folder)))
    ours = SentenceTransformerModel(named, folder, device="cpu", dtype="fp32")
    texts = ["how do whales breathe", "a title"]
    for role, encode in zip(ROLES, (theirs.encode_query, theirs.encode_document), strict=True):
        vectors = ours.forward(ours.prepare(texts, role), role)
        np.testing.assert_allclose(vectors, encode(texts), atol=1e-6)
        assert ours.facts.prompts.get(role, "") == declared_prompt(declared, role)


def test_what_a_checkpoint_declares_and_nobody_uses_is_said() -> None:
    both: dict[Role, str | None] = {"query": None, "document": None}
    note = declaration_notice({"query": "ask: ", "passage": "tell: ", "document": ""}, "passage", both)
    assert "a query gets 'ask: ', a document gets none" in note
    assert "encode_document does not use 'passage' ('tell: '): document_prompt in its definition can" in note
    assert "default prompt 'passage' is for encode() alone" in note
    braces = declaration_notice({"document": "title: {title} | text: "}, None, both)
    assert "the braces in 'title: {title} | text: ' stay as they are" in braces
    assert "query_prompt" not in braces, "the document's own prompt is no other one for queries"
    assert not declaration_notice({"query": "", "document": ""}, None, both)
    assert not declaration_notice({"query": "ask: "}, None, {"query": "other: ", "document": ""})
    assert not declaration_notice({"query": "ask: "}, None, {"query": "other: ", "document": None})
    assert not declaration_notice({"query": "ask: ", "document": "tell: "}, "query", both), (
        "they are facts, no surprise"
    )
