"""Batches without padding on a GPU: what its attention is given, on any machine; vectors, where there is a GPU."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from pytest_embedbench.models.fast import packed
from pytest_embedbench.models.fast.attention import pack_row
from pytest_embedbench.models.local.library_network import LibraryNetwork
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
from pytest_embedbench.models.spec import ModelSpec, NamedModel

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_embedbench.models.protocol import Vectors

TEXTS = ["tea", "", "a volcano erupts when molten rock, ash and gas escape", "tea", "whales breathe " * 40]


def by_its_documentation(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    cu_seq_q: torch.Tensor,
    cu_seq_k: torch.Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float | None,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> torch.Tensor:
    """``torch.nn.attention.varlen.varlen_attn``, which needs a GPU, text by text."""
    assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    assert cu_seq_q.tolist() == cu_seq_k.tolist()
    bounds = list(pairwise(cu_seq_q.tolist()))
    assert len(query) == len(key) == len(value) == cu_seq_q[-1]
    assert max_q == max_k == max(end - start for start, end in bounds)
    assert enable_gqa == (query.shape[1] > key.shape[1])
    assert window_size in {(-1, -1), (-1, 0)}
    made = torch.empty_like(query)
    for start, end in bounds:
        q, k, v = (states[start:end].transpose(0, 1)[None] for states in (query, key, value))
        causal = window_size[1] == 0
        found = torch.nn.functional.scaled_dot_product_attention(
            q, k, v, scale=scale, is_causal=causal, enable_gqa=enable_gqa
        )
        made[start:end] = found[0].transpose(0, 1)
    return made


def load(folder: Path, device: str = "cpu", dtype: str = "fp32", *, pack: bool = True) -> SentenceTransformerModel:
    named = NamedModel(alias="model", spec=ModelSpec(path=str(folder)))
    model = SentenceTransformerModel(named, folder, device=device, dtype=dtype, packed=pack)
    assert isinstance(model._network, LibraryNetwork)
    return model


def vectors(model: SentenceTransformerModel) -> Vectors:
    return model.forward(model.prepare(TEXTS, "query"), "query")


@pytest.fixture
def _as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a CPU take the way of a GPU, to sentence-transformers' modules and that attention."""
    monkeypatch.setattr("pytest_embedbench.models.local.sentence_transformer.plain_network", lambda *_: None)
    monkeypatch.setattr(packed, "GPU", "cpu")


@pytest.mark.usefixtures("_as_on_a_gpu")
@pytest.mark.parametrize("folder", ["minilm_folder", "qwen3_folder"])
@pytest.mark.parametrize(("dtype", "most"), [("fp32", 1e-5), ("bf16", 5e-2)])
def test_vectors_are_those_of_padded_batches(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, folder: str, dtype: str, most: float
) -> None:
    calls: list[Any] = []

    def counted(*states: Any, **how: Any) -> torch.Tensor:
        calls.append(how)
        return by_its_documentation(*states, **how)

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", counted)
    model = load(request.getfixturevalue(folder), dtype=dtype)
    assert model.facts.attention.endswith("packed")
    calls.clear()
    found = vectors(model)
    assert {how["window_size"] for how in calls} == {(-1, 0 if folder == "qwen3_folder" else -1)}
    np.testing.assert_allclose(
        found, vectors(load(request.getfixturevalue(folder), dtype=dtype, pack=False)), atol=most
    )


@pytest.mark.usefixtures("_as_on_a_gpu")
def test_what_the_kernel_does_not_take_is_padded(minilm_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> torch.Tensor:
        raise RuntimeError("FlashAttention only support fp16 and bf16 data type")

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", refused)
    model = load(minilm_folder)
    assert model.facts.attention == "sdpa"
    np.testing.assert_array_equal(vectors(model), vectors(load(minilm_folder, pack=False)))


def test_the_places_of_texts_go_to_the_device() -> None:
    row = pack_row([3, 1, 2])
    assert row.bounds.tolist() == [0, 3, 4, 6]
    assert (row.longest, row.spans) == (3, [(0, 3, 1), (3, 1, 1), (4, 2, 1)])
    moved = row.to(torch.device("meta"))
    assert moved.bounds.device.type == "meta"
    assert moved[0::2] == row[0::2]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("folder", ["minilm_folder", "qwen3_folder"])
def test_on_a_gpu(request: pytest.FixtureRequest, folder: str) -> None:
    path = request.getfixturevalue(folder)
    model, padded = (load(path, "cuda", "bf16", pack=pack) for pack in (True, False))
    assert (model.facts.attention, padded.facts.attention) == ("flash, packed", "sdpa")
    np.testing.assert_allclose(vectors(model), vectors(padded), atol=5e-2)
