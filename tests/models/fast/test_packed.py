"""Batches without padding give the vectors that padded ones give, for encoders and for Qwen3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_embedbench.models.fast.attention import pack_row, packed_attention, spans
from pytest_embedbench.models.local.sentence_transformer import TORCH_DTYPES, SentenceTransformerModel
from pytest_embedbench.models.spec import ModelSpec, NamedModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Vectors

SENTENCE = "a volcano erupts when molten rock ash and gas escape from a chamber below the crust of the earth"
WORDS = SENTENCE.split()
TEXTS = [" ".join((WORDS * 20)[: 1 + 7 * number % 211]) for number in range(0, 40, 3)] + ["tea", "tea", ""]


def loaded(folder: Path, *, pack: bool = True, dtype: str = "fp32", **spec: object) -> SentenceTransformerModel:
    named = NamedModel(alias="model", spec=ModelSpec(path=str(folder), **spec))  # type: ignore[arg-type]
    model = SentenceTransformerModel(named, folder, device="cpu", dtype=dtype, packed=pack)
    assert model.facts.attention == (packed_attention(TORCH_DTYPES[dtype]) if pack else "sdpa")
    return model


def vectors(model: SentenceTransformerModel, texts: Sequence[str] = TEXTS, role: Role = "document") -> Vectors:
    return model.forward(model.prepare(texts, role), role)


def far(one: Vectors, other: Vectors) -> float:
    """The largest 1 - cosine."""
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (one, other))
    return float((1 - (a * b).sum(axis=1)).max())


@pytest.mark.parametrize(("dtype", "most"), [("fp32", 1e-6), ("bf16", 5e-3)])
def test_minilm_has_the_same_vectors(minilm_folder: Path, dtype: str, most: float) -> None:
    packed, padded = (loaded(minilm_folder, pack=pack, dtype=dtype) for pack in (True, False))
    assert far(vectors(packed), vectors(padded)) < most


@pytest.mark.parametrize("mode", ["cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"])
def test_every_pooling_does(minilm_folder: Path, tmp_path: Path, mode: str) -> None:
    import shutil

    folder = Path(shutil.copytree(minilm_folder, tmp_path / mode))
    (config,) = folder.glob("1_Pooling/config.json")
    size = json.loads(config.read_text("utf-8"))["word_embedding_dimension"]
    config.write_text(json.dumps({"word_embedding_dimension": size, "pooling_mode": mode}), "utf-8")
    packed, padded = loaded(folder), loaded(folder, pack=False)
    assert packed.facts.pooling == mode
    assert far(vectors(packed), vectors(padded)) < 1e-6


def test_a_prompt_that_pooling_leaves_out_is_left_out(minilm_folder: Path, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(minilm_folder, tmp_path / "prompted"))
    (config,) = folder.glob("1_Pooling/config.json")
    config.write_text(json.dumps({**json.loads(config.read_text("utf-8")), "include_prompt": False}), "utf-8")
    prompt = "a passage: "
    packed, padded = (loaded(folder, pack=pack, document_prompt=prompt) for pack in (True, False))
    assert far(vectors(packed), vectors(padded)) < 1e-6
    assert far(vectors(packed), vectors(loaded(folder))) > 1e-3


def test_qwen3_has_the_same_vectors_though_padding_was_on_the_left(qwen3_folder: Path) -> None:
    packed, padded = loaded(qwen3_folder), loaded(qwen3_folder, pack=False)
    for role in ("query", "document"):
        assert far(vectors(packed, role=role), vectors(padded, role=role)) < 1e-6


def test_a_text_alone_has_the_vector_that_it_has_in_company(minilm_folder: Path) -> None:
    model = loaded(minilm_folder)
    together = vectors(model)
    for place, text in enumerate(TEXTS):
        assert far(together[[place]], vectors(model, [text])) < 1e-6


def test_texts_of_one_length_are_attended_to_together() -> None:
    assert spans([3, 3, 3, 5, 3]) == [(0, 3, 3), (9, 5, 1), (14, 3, 1)]


def test_a_model_that_asks_for_another_kernel_is_padded(minilm_folder: Path, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(minilm_folder, tmp_path / "eager"))
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "attn_implementation": "eager"}), "utf-8")
    model = SentenceTransformerModel(
        NamedModel(alias="eager", spec=ModelSpec(path=str(folder))), folder, device="cpu", dtype="fp32"
    )
    assert model.facts.attention == "eager"
    assert far(vectors(model), vectors(loaded(minilm_folder))) < 1e-6


def test_a_model_that_computes_otherwise_without_padding_is_padded(
    minilm_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_embedbench.models.fast import packed
    from pytest_embedbench.models.local import bert

    right = vectors(loaded(minilm_folder))
    # Attention that ignores where texts end.
    monkeypatch.setattr(bert, "spans", lambda lengths: spans([sum(lengths)]))
    monkeypatch.setattr(packed, "pack_row", lambda lengths: pack_row([sum(lengths)]))
    model = SentenceTransformerModel(
        NamedModel(alias="other", spec=ModelSpec(path=str(minilm_folder))), minilm_folder, device="cpu", dtype="fp32"
    )
    assert model.facts.attention == "sdpa"
    assert far(vectors(model), right) < 1e-6
