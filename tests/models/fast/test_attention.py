"""Attention in bf16 by two products and a softmax is attention, but for rounding; and where it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_embedbench.models.fast import attention as text_attention
from pytest_embedbench.models.fast.attention import MAX_PRODUCT_TOKENS, attend, attend_by_products, packed_attention
from pytest_embedbench.models.local.plain_network import PlainNetwork
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
from pytest_embedbench.models.spec import ModelSpec, NamedModel

if TYPE_CHECKING:
    from collections.abc import Sequence


def tensors(texts: int, heads: int, shared: int, length: int, size: int, seed: int) -> Sequence[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(texts, heads * shared, length, size), *[(texts, heads, length, size)] * 2]
    return [torch.randn(shape, generator=generator).bfloat16() for shape in shapes]


def right(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None, causal: bool
) -> torch.Tensor:
    """By the formula, in fp64, a head at a time."""
    made = torch.empty(query.shape, dtype=torch.float64)
    for text in range(query.shape[0]):
        for head in range(query.shape[1]):
            of = head * key.shape[1] // query.shape[1]
            scores = query[text, head].double() @ key[text, of].double().T * (scale or query.shape[3] ** -0.5)
            if causal:
                scores += torch.full_like(scores, -torch.inf).triu(1)
            made[text, head] = scores.softmax(-1) @ value[text, of].double()
    return made


@given(
    texts=st.integers(1, 3),
    heads=st.integers(1, 3),
    shared=st.integers(1, 3),
    length=st.integers(1, 70),
    size=st.sampled_from([1, 8, 24, 64]),
    scale=st.sampled_from([None, 0.1, 1.0]),
    causal=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=60)
def test_it_is_near_to_the_formula(
    texts: int, heads: int, shared: int, length: int, size: int, scale: float | None, causal: bool, seed: int
) -> None:
    query, key, value = tensors(texts, heads, shared, length, size, seed)
    expected = right(query, key, value, scale, causal)
    found = attend_by_products(query, key, value, scale=scale, causal=causal)
    assert found.dtype == torch.bfloat16
    # A score of size s is rounded by up to s/256, which changes its weight by as much.
    largest = float((query.double() @ key.repeat_interleave(shared, 1).double().mT).abs().max())
    slack = (2 + largest * (scale or size**-0.5)) / 128
    assert (found.double() - expected).abs().max() <= slack * value.double().abs().max()
    usual = attend(query, key, value, scale=scale, causal=causal)
    assert (usual.double() - expected).abs().max() <= slack * value.double().abs().max()


@pytest.mark.parametrize("folder", ["minilm_folder", "qwen3_folder"])
def test_vectors_are_near(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    place = request.getfixturevalue(folder)
    texts = ["tea", "tea", "how does a volcano erupt", "Whales come up to the surface and breathe. " * 9]

    def load(dtype: str) -> SentenceTransformerModel:
        named = NamedModel(alias="model", spec=ModelSpec(path=str(place)))
        model = SentenceTransformerModel(named, place, device="cpu", dtype=dtype)
        assert isinstance(model._network, PlainNetwork)
        return model

    exact = load("fp32")
    calls = []

    def counted(*states: torch.Tensor, scale: float | None, causal: bool) -> torch.Tensor:
        calls.append(causal)
        return attend_by_products(*states, scale=scale, causal=causal)

    monkeypatch.setattr(text_attention, "multiplies_bf16", lambda: True)
    monkeypatch.setattr(text_attention, "attend_by_products", counted)
    quick = load("bf16")
    one, other = (model.forward(model.prepare(texts, "document"), "document") for model in (exact, quick))
    assert (1 - (one * other).sum(axis=1)).max() < 1e-3
    assert quick.facts.attention == "products to 256 tokens, sdpa, packed"
    assert calls
    assert set(calls) == {folder == "qwen3_folder"}


@pytest.mark.parametrize(
    ("dtype", "length", "native", "written_out"),
    [
        (torch.bfloat16, MAX_PRODUCT_TOKENS, True, True),
        (torch.bfloat16, MAX_PRODUCT_TOKENS + 1, True, False),
        (torch.bfloat16, MAX_PRODUCT_TOKENS, False, False),
        (torch.float32, MAX_PRODUCT_TOKENS, True, False),
        (torch.float16, MAX_PRODUCT_TOKENS, True, False),
    ],
)
def test_where_it_is_used(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, length: int, native: bool, written_out: bool
) -> None:
    monkeypatch.setattr(text_attention, "multiplies_bf16", lambda: native)
    monkeypatch.setattr(text_attention, "attend_by_products", lambda *_, **__: "written out")
    assert (
        packed_attention(dtype)
        == ("products to 256 tokens, " if native and dtype == torch.bfloat16 else "") + "sdpa, packed"
    )
    states = torch.zeros(1, 1, length, 8, dtype=dtype)
    assert (attend(states, states, states, scale=None, causal=False) == "written out") is written_out
