"""The catalogue's models: every fact that a card prints is there, has its source, and loads what it says."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench import catalog
from pytest_embedbench.models.spec import DEFAULT_TASK, ModelSpec, NamedModel
from pytest_embedbench.suite.endpoints import check_endpoint

if TYPE_CHECKING:
    from pathlib import Path

MODELS = catalog.models()
LOCAL = {alias: spec for alias, spec in MODELS.items() if spec.kind == "sentence-transformers"}
HOSTED = {alias: spec for alias, spec in MODELS.items() if spec.kind == "endpoint"}
STATIC = {alias: spec for alias, spec in LOCAL.items() if spec.architecture == "Model2Vec"}

UNSTATED = {
    ("multilingual-e5-small", "normalized"),
    ("gte-modernbert", "normalized"),
    ("jina-v3", "normalized"),
    *((alias, "normalized") for alias in STATIC),
    *((alias, "price_per_million_tokens") for alias in HOSTED if alias.startswith(("cohere-e", "cohere-m", "jina"))),
    *((alias, "languages") for alias in HOSTED if alias.startswith(("openai", "voyage"))),
}
"""What no source states: comments in models.toml say so."""


def given(spec: ModelSpec, fact: str) -> bool:
    return getattr(spec, fact) not in {"", None, ()}


def missing(alias: str, spec: ModelSpec, *facts: str) -> set[str]:
    return {fact for fact in facts if not given(spec, fact) and (alias, fact) not in UNSTATED}


@pytest.mark.parametrize(("alias", "spec"), MODELS.items(), ids=MODELS)
def test_every_model_has_what_a_card_prints(alias: str, spec: ModelSpec) -> None:
    facts = ("name", "summary", "description", "source", "licence", "provider", "release_date", "languages")
    assert not missing(alias, spec, *facts)
    assert spec.source.startswith("https://")
    assert spec.description.endswith(".")
    assert re.fullmatch(r"[^/\s]+/[^/\s]+", spec.name)
    for code in spec.languages:
        assert re.fullmatch(r"[a-z]{3}-[A-Z][a-z]{3}", code), code
    assert len(set(spec.languages)) == len(spec.languages)


@pytest.mark.parametrize(("alias", "spec"), LOCAL.items(), ids=LOCAL)
def test_a_local_model_is_pinned_and_described(alias: str, spec: ModelSpec) -> None:
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", spec.hub)
    assert spec.name == spec.hub
    assert re.fullmatch(r"[0-9a-f]{40}", spec.revision)
    assert spec.query_prompt is not None
    assert spec.document_prompt is not None
    assert not missing(alias, spec, "dimensions", "parameters", "architecture", "normalized")
    assert not spec.trust_remote_code, "code from the Hub runs only where the user says so"
    assert spec.price_per_million_tokens is None
    transformer = {"pooling", "padding_side", "max_tokens"}
    assert missing(alias, spec, *transformer) == (transformer if alias in STATIC else set())


@pytest.mark.parametrize(("alias", "spec"), HOSTED.items(), ids=HOSTED)
def test_a_hosted_model_can_be_asked(alias: str, spec: ModelSpec) -> None:
    check_endpoint(spec, f"models.toml: {alias}")  # what a suite's own definitions must keep
    assert spec.url.startswith("https://")
    assert re.fullmatch(r"[A-Z]+_API_KEY", spec.api_key_env)
    assert spec.query_prompt is not None
    assert spec.document_prompt is not None
    assert not missing(alias, spec, "dimensions", "max_tokens", "price_per_million_tokens")


def test_what_no_source_states_is_still_not_there() -> None:
    assert not {(alias, fact) for alias, fact in UNSTATED if given(MODELS[alias], fact)}


def test_services_are_told_the_role_where_they_take_it() -> None:
    roles = {
        alias: (spec.query_parameters, spec.document_parameters)
        for alias, spec in HOSTED.items()
        if spec.query_parameters or spec.document_parameters
    }
    voyage = ({"input_type": "query"}, {"input_type": "document"})
    jina = ({"task": "retrieval.query"}, {"task": "retrieval.passage"})
    assert roles == {
        alias: voyage if alias.startswith("voyage") else jina
        for alias in HOSTED
        if alias.startswith(("voyage", "jina"))
    }


def test_qwens_prompts_are_exact() -> None:
    for alias in ("qwen3-0.6b", "qwen3-4b", "qwen3-8b"):
        spec = MODELS[alias]
        assert (spec.query_prompt, spec.document_prompt) == ("Instruct: {task}\nQuery:", "")
        assert (spec.pooling, spec.padding_side, spec.normalized) == ("lasttoken", "left", True)
        model = NamedModel(alias=alias, spec=spec)
        assert model.prompts == {"query": f"Instruct: {DEFAULT_TASK}\nQuery:", "document": ""}
        assert model.on_task("Find it").prompts["query"] == "Instruct: Find it\nQuery:"


def test_a_name_means_one_model_whatever_its_case() -> None:
    names = Counter(
        name.casefold() for alias, spec in MODELS.items() for name in {alias, spec.name, *spec.aliases} if name
    )
    assert [name for name, count in names.items() if count > 1] == []
    for alias, spec in MODELS.items():
        for name in (alias, spec.name, *spec.aliases):
            assert catalog.find(MODELS, name.upper()) == (alias, spec)


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("all-MiniLM-L6-v2", "minilm"),
        ("Qwen3-Embedding-4B", "qwen3-4b"),
        ("qwen/qwen3-embedding-8b", "qwen3-8b"),
        ("bge-large-en-v1.5", "bge-large"),
        ("bge-m3", "bge-m3"),
        ("intfloat/multilingual-e5-base", "multilingual-e5-base"),
        ("gte-modernbert-base", "gte-modernbert"),
        ("nomic-embed-text-v1.5", "nomic-v1.5"),
        ("jina-embeddings-v3", "jina-v3"),
        ("google/embeddinggemma-300m", "embeddinggemma"),
        ("potion-retrieval-32M", "potion-retrieval"),
        ("text-embedding-3-large", "openai-3-large"),
        ("voyageai/voyage-3.5", "voyage-3.5"),
        ("embed-v4.0", "cohere-v4"),
        ("gemini-embedding-001", "gemini-embedding-001"),
    ],
)
def test_users_find_a_model_by_the_name_they_know(name: str, alias: str) -> None:
    found = catalog.find(MODELS, name)
    assert found
    assert found[0] == alias


ELSEWHERE = {"kanon-2", "zembed-1", "text-embedding-004", "gemini-embedding-2-preview"}
"""Models of the leaderboard's field that cannot be run: the head of models.toml says why."""


def test_the_leaderboards_field_is_here(shared: Path) -> None:
    board = json.loads((shared / "reference" / "leaderboard_published.json").read_text("utf-8"))
    field = {model["name"] for model in board["model_info"]}
    assert {name for name in field if not catalog.find(MODELS, name)} == ELSEWHERE


def test_revisions_are_those_of_mtebs_published_results(shared: Path) -> None:
    published = json.loads((shared / "reference" / "mteb_published.json").read_text("utf-8"))
    revisions = {(entry["model"], entry["revision"]) for entry in published}
    pinned = {(spec.hub, spec.revision) for spec in LOCAL.values() if spec.hub in dict(revisions)}
    assert len(pinned) == 6
    assert pinned <= revisions


def test_lists_of_languages_are_written_out() -> None:
    qwen, own = MODELS["qwen3-4b"].languages, MODELS["minilm"].languages
    assert (len(qwen), qwen[0], qwen[-1]) == (73, "afr-Latn", "zho-Hans")
    assert own == ("eng-Latn",)


def test_the_catalogues_prompts_have_only_places_that_are_filled() -> None:
    for alias, spec in MODELS.items():
        model = NamedModel(alias=alias, spec=spec).on_task("Find it")
        assert "{" not in "".join(prompt or "" for prompt in model.prompts.values())
