"""Adapters (PEFT): vectors are sentence-transformers' own; what is missing is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.local import adapters
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
from pytest_embedbench.models.source import locate_checkpoint
from pytest_embedbench.models.spec import ModelSpec, NamedModel

TEXTS = ["how do whales breathe", "", "A volcano erupts when molten rock escapes."]
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # peft 0.21

COMMIT = "5c38ec7c405ec4b44b94cc5a9bb96e735b38267a"


@pytest.fixture
def adapter(tiny_folder: Path, tmp_path: Path) -> Path:
    """Save an adapter as PEFT does: without a tokenizer."""
    peft: Any = pytest.importorskip("peft", reason="needs peft: adapters are loaded with it")
    from transformers import AutoModel

    config = peft.LoraConfig(r=4, target_modules=["query", "value"], init_lora_weights=False)
    peft.get_peft_model(AutoModel.from_pretrained(tiny_folder), config).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def named(folder: Path) -> NamedModel:
    return NamedModel(alias="mine", spec=ModelSpec(path=str(folder)))


def vectors(folder: Path) -> np.ndarray:
    model = SentenceTransformerModel(named(folder), folder, device="cpu", dtype="fp32")
    return model.forward(model.prepare(TEXTS, "query"), "query")


def with_tokenizer(adapter: Path, base: Path) -> Path:
    for file in base.glob("tokenizer*"):
        shutil.copy(file, adapter / file.name)
    return adapter


def change_base(adapter: Path, base: str) -> None:
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "base_model_name_or_path": base}))


def test_an_adapter_with_a_tokenizer_is_what_sentence_transformers_makes_of_it(
    adapter: Path, tiny_folder: Path
) -> None:
    with_tokenizer(adapter, tiny_folder)
    found = vectors(adapter)
    np.testing.assert_allclose(found, SentenceTransformer(str(adapter), device="cpu").encode_query(TEXTS), atol=1e-5)
    base = SentenceTransformer(str(tiny_folder), device="cpu").encode_query(TEXTS)
    assert np.abs(found - base).max() > 1e-3


def test_an_adapter_alone_has_its_bases_tokenizer_and_pooling(adapter: Path, tiny_folder: Path) -> None:
    theirs = SentenceTransformer(str(tiny_folder), device="cpu")
    theirs.load_adapter(str(adapter))
    np.testing.assert_allclose(vectors(adapter), theirs.encode_query(TEXTS), atol=1e-5)


def test_a_base_on_the_hub_comes_from_its_cache(
    adapter: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = vectors(adapter)
    change_base(adapter, "org/base")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("huggingface_hub.constants.HF_HUB_CACHE", "transformers.utils.hub.constants.HF_HUB_CACHE"):
        monkeypatch.setattr(name, str(tmp_path / "hub"))
    with pytest.raises(ModelError) as caught:
        locate_checkpoint(named(adapter))
    assert f"{adapter}/adapter_config.json needs the repository org/base" in caught.value.problem
    repository = tmp_path / "hub" / "models--org--base"
    shutil.copytree(tiny_folder, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    assert locate_checkpoint(named(adapter)).folder == adapter
    np.testing.assert_allclose(vectors(adapter), expected, atol=1e-6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an adapter's folder with settings only."""
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/gone/base"}))
    return tmp_path / "adapter"


def test_a_base_that_is_not_here_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "find_spec", lambda _: True)
    with pytest.raises(ModelError, match=r"adapter_config.json: its base is not here: '/gone/base'\n  fix: write the"):
        vectors(folder)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"adapter_config.json names no base"):
        vectors(folder)


def test_without_peft_the_package_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "find_spec", lambda _: None)
    with pytest.raises(
        ModelError,
        match=r"adapter_config.json: peft is not installed\n  fix: pip install 'pytest-embedbench\[adapters\]'",
    ):
        vectors(folder)
