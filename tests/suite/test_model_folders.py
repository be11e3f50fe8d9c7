"""Folders of models in suites and on the command line: what they are, what a misspelt one is, and what places tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_embedbench import catalog
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.suite.model_names import Names, Overrides

COMMIT = "5c38ec7c405ec4b44b94cc5a9bb96e735b38267a"
SNAPSHOT = f"models--BAAI--bge-small-en-v1.5/snapshots/{COMMIT}"
BGE_PROMPT = "Represent this sentence for searching relevant passages: "


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with models, and an empty Hub cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("models/minilm", "models/gemma-tuned", SNAPSHOT, "BAAI__bge-m3", "run17", "BAAI/bge-m3"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").write_text("{}")
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    (tmp_path / "all-MiniLM-L6-v2").symlink_to(tmp_path / "run17")
    (tmp_path / "data" / "facts").mkdir(parents=True)
    return tmp_path


def model(folder: Path, name: str, **definition: Any) -> NamedModel:
    overrides = Overrides(
        models=(name,), folder=folder, known_models={name: ModelSpec(**definition)} if definition else {}
    )
    names = Names.without_suite(overrides)
    (found,) = names.models()
    return found


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("models/minlm", "./models/minilm"),
        ("models/minlm@int8", "./models/minilm"),
        ("./models/minlm", "./models/minilm"),
        ("models/MiniLMs", "./models/minilm"),
        ("models/minilm/", None),
        ("model/minilm", "./models/minilm"),
        ("modles/minilm", "./models/minilm"),
        ("gemma-tunde", None),
        ("run71", "./run17"),
        ("{at}/models/minlm", "./models/minilm"),
        ("BAAI/bge-m4", "./BAAI/bge-m3"),
    ],
)
def test_a_misspelt_folder_is_no_model_of_the_hub(folder: Path, name: str, meant: str | None) -> None:
    if name == "models/minilm/":
        assert model(folder, name).spec.path == f"{folder}/models/minilm"
        return
    with pytest.raises(ConfigurationError) as caught:
        model(folder, name.format(at=folder))
    if meant is None:
        assert "unknown model 'gemma-tunde'" in caught.value.problem
        return
    assert caught.value.problem == f"no such folder: {name.format(at=folder).partition('@')[0]}"
    assert f"did you mean {meant}?" in caught.value.fix


def test_a_name_beside_folders_of_models_is_no_model_of_the_hub_either(folder: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        model(folder, "models/something-else")
    assert caught.value.fix == (
        'that folder has gemma-tuned, minilm. A model of the Hub is defined with hub = "models/something-else"'
    )
    defined = model(folder, "x", hub="models/something-else")
    assert (defined.spec.hub, defined.spec.path) == ("models/something-else", "")


@pytest.mark.parametrize("name", ["org/model", "data/model", "BAAI/bge-reranker-base", "mini/lm"])
def test_hub_ids_stay_hub_ids(folder: Path, name: str) -> None:
    assert model(folder, name).spec == ModelSpec(hub=name)


def test_what_the_hubs_cache_has_is_a_model_of_the_hub(folder: Path) -> None:
    cached = folder / "hub" / "models--models--minlm"
    (cached / "snapshots" / COMMIT).mkdir(parents=True)
    (cached / "snapshots" / COMMIT / "config.json").write_text("{}")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(COMMIT)
    assert model(folder, "models/minlm").spec == ModelSpec(hub="models/minlm")


def test_a_defined_path_with_a_typo(folder: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        model(folder, "mine", path=str(folder / "models" / "minlm"))
    assert str(folder / "models" / "minlm") in caught.value.problem
    assert caught.value.fix.endswith("/models/minilm?")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("models", "./models/gemma-tuned, ./models/minilm"), ("models--BAAI--bge-small-en-v1.5", f"./{SNAPSHOT}")],
)
def test_a_folder_around_models(folder: Path, name: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        model(folder, name)
    assert "has neither modules.json nor config.json" in caught.value.problem
    assert caught.value.fix == f"did you mean {meant}?"


def test_an_adapters_folder_is_a_model(folder: Path) -> None:
    assert model(folder, "adapter").alias == "adapter"


def test_a_folder_of_the_hubs_cache_is_the_model_at_that_commit(folder: Path) -> None:
    found = model(folder, SNAPSHOT)
    spec = found.spec
    assert (found.alias, found.name) == ("BAAI/bge-small-en-v1.5", "BAAI/bge-small-en-v1.5")
    assert (spec.path, spec.revision) == (str(folder / SNAPSHOT), COMMIT)
    assert found.prompts == {"query": BGE_PROMPT, "document": ""}
    defined = model(folder, "mine", path=str(folder / SNAPSHOT))
    assert (defined.alias, defined.spec) == ("mine", spec)


def test_a_path_with_a_hub_id_takes_the_catalogues_prompts(folder: Path) -> None:
    path = str(folder / "run17")
    assert model(folder, "m", path=path, hub="baai/BGE-small-en-v1.5").prompts["query"] == BGE_PROMPT
    assert model(folder, "m", hub="BAAI/bge-small-en-v1.5").prompts["query"] == BGE_PROMPT
    assert model(folder, "m", path=path, hub="BAAI/bge-small-en-v1.5", query_prompt="").prompts["query"] == ""
    assert model(folder, "m", path=path, hub="someone/bge-small-en-v1.5").prompts["query"] is None
    assert model(folder, "m", path=path).prompts["query"] is None


@pytest.mark.parametrize(
    ("name", "alias"),
    [("BAAI__bge-m3", "bge-m3"), ("./all-MiniLM-L6-v2", "minilm"), (SNAPSHOT, "bge-small"), ("run17", None)],
)
def test_folders_and_links_find_their_entry(folder: Path, name: str, alias: str | None) -> None:
    assert catalog.entry_of(model(folder, name).spec) == (catalog.models()[alias] if alias else None)
    defined = model(folder, "mine", path=str(folder / name))
    assert catalog.entry_of(defined.spec) == (catalog.models()[alias] if alias else None)
