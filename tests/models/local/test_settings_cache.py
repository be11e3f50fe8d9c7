"""What transformers made of a checkpoint's settings does as well the next time, and only while they are the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from pytest_embedbench.engine.tuning import READY_FOLDER, Tuning
from pytest_embedbench.models.local import settings_cache as ready
from pytest_embedbench.models.local.plain_network import plain_network
from pytest_embedbench.models.local.settings_cache import ReadyTokenizer, fast_tokenizer
from pytest_embedbench.models.local.text_tokenizer import TextTokenizer
from pytest_embedbench.models.sample_texts import SAMPLE_TEXTS
from tests.models.conftest import change

Watch = Callable[[Path], bool]


@pytest.fixture
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Return what loads a checkpoint and says whether transformers read its settings for that."""
    from pytest_embedbench.models.local import plain_network as plain

    read: list[Path] = []
    as_told = plain._from_files

    def watched(checkpoint: Any, *more: Any) -> Any:
        read.append(checkpoint.transformer)
        return as_told(checkpoint, *more)

    monkeypatch.setattr(plain, "_from_files", watched)

    def load(folder: Path) -> bool:
        read.clear()
        assert plain_network(folder, torch.float32, None, Tuning(tmp_path / "cache"))
        return bool(read)

    return load


def kept(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache" / READY_FOLDER).iterdir())


# Tokens


@pytest.fixture(scope="module")
def theirs(minilm_folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(minilm_folder)


@pytest.mark.parametrize("prompt", ["", "query: "])
@given(texts=st.lists(st.text(), min_size=1, max_size=4), longest=st.integers(3, 40))
@settings(deadline=None, max_examples=100)
def test_tokens_are_those_of_transformers(theirs: Any, prompt: str, texts: list[str], longest: int) -> None:
    made = fast_tokenizer(theirs)
    assert made
    found = TextTokenizer(ReadyTokenizer(made), longest).prepare(texts, prompt)
    theirs.model_max_length, usual = longest, theirs.model_max_length
    try:
        assert found == TextTokenizer(theirs, None).prepare(texts, prompt)
    finally:
        theirs.model_max_length = usual


def test_texts_are_cut_on_the_side_that_the_checkpoint_says(minilm_folder: Path) -> None:
    left = AutoTokenizer.from_pretrained(minilm_folder, truncation_side="left", model_max_length=7)
    made = fast_tokenizer(left)
    assert made
    (found,) = TextTokenizer(ReadyTokenizer(made), None).prepare([SAMPLE_TEXTS[-1]], "")
    assert found == TextTokenizer(left, None).prepare([SAMPLE_TEXTS[-1]], "")[0]
    assert left.convert_ids_to_tokens(found.payload) == ["[CLS]", "stand", "on", "shelf", "4", ".", "[SEP]"]


def test_special_tokens_that_are_to_be_taken_apart_take_transformers(minilm_folder: Path) -> None:
    assert fast_tokenizer(AutoTokenizer.from_pretrained(minilm_folder, split_special_tokens=True)) is None


def test_a_class_that_does_more_with_texts_takes_transformers(minilm_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder)

    class Upper(type(tokenizer)):  # type: ignore[misc]  # a class known when this runs
        def __call__(self, texts: list[str], **how: Any) -> Any:
            return super().__call__([text.replace("e", "") for text in texts], **how)

    tokenizer.__class__ = Upper
    assert fast_tokenizer(tokenizer) is None


def test_no_limit_takes_transformers(minilm_folder: Path) -> None:
    assert fast_tokenizer(AutoTokenizer.from_pretrained(minilm_folder, model_max_length=10**30)) is None


# What is kept


def test_it_is_read_once(copy: Path, reads: Watch, tmp_path: Path) -> None:
    assert reads(copy)
    assert not reads(copy)
    assert len(kept(tmp_path)) == 1


def test_another_folder_has_its_own(copy: Path, reads: Watch, minilm_folder: Path, tmp_path: Path) -> None:
    assert reads(copy)
    assert reads(minilm_folder)
    assert not reads(copy)
    assert len(kept(tmp_path)) == 2


def test_changed_settings_are_read_anew(copy: Path, reads: Watch, tmp_path: Path) -> None:
    assert reads(copy)
    change(copy / "tokenizer_config.json", do_lower_case=False)
    assert reads(copy)
    assert not reads(copy)
    change(copy / "config.json", layer_norm_eps=0.5)
    assert reads(copy)
    network = plain_network(copy, torch.float32, None, Tuning(tmp_path / "cache"))
    fresh = plain_network(copy, torch.float32, None, None)
    assert network
    assert fresh
    (one,) = network.prepare(["A Volcano"], "")
    assert [one] == fresh.prepare(["A Volcano"], "")
    np.testing.assert_array_equal(network.vectors([one], None), fresh.vectors([one], None))
    assert len(kept(tmp_path)) == 1, "what was kept before is replaced"


def test_so_are_they_by_another_release_of_transformers(
    copy: Path, reads: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reads(copy)
    monkeypatch.setattr(ready, "version", lambda package: f"{package} 99")
    assert reads(copy)


def test_weights_of_another_shape_are_noticed(copy: Path, reads: Watch, tmp_path: Path) -> None:
    assert reads(copy)
    weights = load_file(copy / "model.safetensors")
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"][:-1].clone()
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert plain_network(copy, torch.float32, None, Tuning(tmp_path / "cache")) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b"[]"], ids=repr)
def test_damage_is_mended(copy: Path, reads: Watch, tmp_path: Path, damage: bytes) -> None:
    assert reads(copy)
    kept(tmp_path)[0].write_bytes(damage)
    assert reads(copy)
    assert not reads(copy)


def test_nowhere_to_keep_it_is_no_error(copy: Path, reads: Watch, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file", "utf-8")
    assert reads(copy)
    assert reads(copy)
