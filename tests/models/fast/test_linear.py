"""Linear layers by oneDNN's own operation give what torch's give; forced on, since few CPUs gain by it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel
from transformers.activations import ACT2FN

from pytest_embedbench.models.fast import linear as fused
from pytest_embedbench.models.fast import packed
from pytest_embedbench.models.fast.linear import NO_ACTIVATION, Fusion, fused_linear, fusion_pays, onednn_activation
from pytest_embedbench.models.local import bert
from pytest_embedbench.models.local import plain_network as plain
from pytest_embedbench.models.local.bert import Bert
from pytest_embedbench.models.local.plain_network import PlainNetwork
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
from pytest_embedbench.models.local.transformer import Transformer
from pytest_embedbench.models.spec import ModelSpec, NamedModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_embedbench.models.protocol import Vectors

TEXTS = ["tea", "tea", "how does a volcano erupt", "Whales come up to the surface and breathe. " * 9]

pytestmark = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_linear_pointwise"), reason="this build of torch has no oneDNN"
)


@pytest.fixture(params=["minilm_folder", "qwen3_folder"])
def folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint that transformers' own modules run."""
    monkeypatch.setattr(plain, "load_bert", lambda *_: None)
    return Path(request.getfixturevalue(request.param))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def load_plain_layers(folder: Path) -> SentenceTransformerModel:
    """Load a model whose linear layers are torch's own, whatever this CPU gains by fused ones."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (bert, packed):
            patch.setattr(module, "fusion_pays", lambda _: False)
        return load(folder)


def load(folder: Path) -> SentenceTransformerModel:
    named = NamedModel(alias="model", spec=ModelSpec(path=str(folder)))
    model = SentenceTransformerModel(named, folder, device="cpu", dtype="fp32")
    assert isinstance(model._network, PlainNetwork)
    return model


def vectors(model: SentenceTransformerModel) -> Vectors:
    return model.forward(model.prepare(TEXTS, "document"), "document")


def body(model: SentenceTransformerModel) -> Transformer:
    assert isinstance(model._network, PlainNetwork)
    found = model._network._body
    assert isinstance(found, Transformer)
    return found


def transformer(model: SentenceTransformerModel) -> Any:
    return body(model)._model


def state(model: torch.nn.Module) -> dict[str, Any]:
    """Which layers run as what, and the activations."""
    linears = {name: "forward" in vars(m) for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    others = {name: type(module).__name__ for name, module in model.named_modules() if "act" in name.split(".")[-1]}
    return {**linears, **others}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Turn the operation on; what it is called with: the names of activations and their variants."""
    seen: list[tuple[str, str]] = []

    def linear(layer: fused.Layer, then: fused.Activation, states: torch.Tensor) -> torch.Tensor:
        seen.append((then.name, then.algorithm))
        return fused_linear(layer, then, states)

    for module in (bert, packed):
        monkeypatch.setattr(module, "fusion_pays", lambda _: True)
    for module in (bert, fused):
        monkeypatch.setattr(module, "fused_linear", linear)
    return seen


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turn the operation on, and have it give the same numbers whatever it is given."""
    for module in (bert, packed):
        monkeypatch.setattr(module, "fusion_pays", lambda _: True)
    for module in (bert, fused):
        monkeypatch.setattr(
            module, "fused_linear", lambda layer, _, states: torch.ones(*states.shape[:-1], len(layer.weight))
        )


def test_vectors_are_the_same(folder: Path, request: pytest.FixtureRequest) -> None:
    usual = load_plain_layers(folder)
    calls = request.getfixturevalue("calls")
    quick = load(folder)
    calls.clear()
    np.testing.assert_allclose(vectors(quick), vectors(usual), atol=1e-6)
    layers = transformer(quick).config.num_hidden_layers
    kind = ("gelu", "none") if quick.facts.architecture == "bert" else ("swish", "")
    assert calls.count(kind) == layers, "an activation in each layer"
    assert calls.count(("none", "")) >= 5 * layers
    assert quick.facts == usual.facts
    fusion = body(quick)._packing._fusion
    assert fusion
    fusion.switch(on=False)
    assert state(transformer(quick)) == state(transformer(usual)), "all is as it was"
    np.testing.assert_array_equal(vectors(quick), vectors(usual))


def test_what_changes_vectors_is_left_off(folder: Path, request: pytest.FixtureRequest) -> None:
    usual = load_plain_layers(folder)
    request.getfixturevalue("wrong")
    kept = load(folder)
    assert kept.facts == usual.facts
    assert state(transformer(kept)) == state(transformer(usual))
    np.testing.assert_array_equal(vectors(kept), vectors(usual))


def test_berts_vectors_are_the_same(minilm_folder: Path, request: pytest.FixtureRequest) -> None:
    usual = load_plain_layers(minilm_folder)
    calls = request.getfixturevalue("calls")
    quick = load(minilm_folder)
    assert isinstance(quick._network._body, Bert)  # type: ignore[attr-defined]  # load says it is PlainNetwork
    calls.clear()
    np.testing.assert_allclose(vectors(quick), vectors(usual), atol=1e-6)
    assert calls == [("none", ""), ("none", ""), ("gelu", "none"), ("none", "")] * 6


def test_what_changes_berts_vectors_is_left_off(minilm_folder: Path, request: pytest.FixtureRequest) -> None:
    usual = load_plain_layers(minilm_folder)
    request.getfixturevalue("wrong")
    kept = load(minilm_folder)
    assert isinstance(kept._network._body, Bert)  # type: ignore[attr-defined]  # load says it is PlainNetwork
    np.testing.assert_array_equal(vectors(kept), vectors(usual))


def test_switching_twice_is_switching_once(minilm_folder: Path) -> None:
    model = AutoModel.from_pretrained(minilm_folder)
    before, fusion = state(model), Fusion(model)
    for on in (True, True, False, False, True, False):
        fusion.switch(on=on)
        assert (state(model) == before) != on
    assert not any(isinstance(vars(module).get("forward"), partial) for module in model.modules())


@given(
    tokens=st.integers(1, 40),
    inputs=st.integers(1, 40),
    outputs=st.integers(1, 40),
    bias=st.booleans(),
    name=st.sampled_from([None, "gelu", "gelu_pytorch_tanh", "silu", "swish"]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None)
def test_a_layer_and_its_activation(
    tokens: int, inputs: int, outputs: int, bias: bool, name: str | None, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = torch.nn.Linear(inputs, outputs, bias=bias)
    states = torch.randn(1, tokens, inputs) * 3
    activation = ACT2FN[name] if name else torch.nn.Identity()
    with torch.inference_mode():
        found = fused_linear(layer, onednn_activation(activation) or NO_ACTIVATION, states)
        torch.testing.assert_close(found, activation(layer(states)), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("capability", "dtype", "native", "expected"),
    [
        ("AVX512", torch.float32, False, True),
        ("AVX2", torch.float32, True, False),
        ("DEFAULT", torch.float32, False, False),
        ("AVX512", torch.bfloat16, True, True),
        ("AVX512", torch.bfloat16, False, False),
        ("AVX512", torch.float16, True, False),
    ],
)
def test_where_it_pays(
    monkeypatch: pytest.MonkeyPatch, capability: str, dtype: torch.dtype, native: bool, expected: bool
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: native)
    assert fusion_pays(dtype) is expected
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not fusion_pays(dtype)
