"""BERT and its kind compute here what transformers' modules compute, or are left to these."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel

from pytest_embedbench.machine.cpu import multiplies_bf16
from pytest_embedbench.models.local.bert import POSITIONS_AFTER_PADDING, load_bert
from pytest_embedbench.models.local.transformer import Transformer

SIZES = {"hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 40}
ROW = [[5, 6, 7], [8, 9, 10], [11], [12, 3, 4, 5, 6, 7, 8, 9, 10, 11]]


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def saved(folder: Path, kind: str, **more: Any) -> Path:
    """A small model of a kind, with random numbers also where a fresh one has ones and zeros."""
    config = AutoConfig.for_model(
        kind, vocab_size=50, max_position_embeddings=20, layer_norm_eps=1e-6, pad_token_id=1, **SIZES, **more
    )
    torch.manual_seed(7)
    model = AutoModel.from_config(config)  # type: ignore[no-untyped-call]
    for parameter in model.parameters():
        parameter.normal_(0, 0.3)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(params=POSITIONS_AFTER_PADDING)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return saved(tmp_path, request.param)


@pytest.fixture
def plain_bert(tmp_path: Path) -> Path:
    return saved(tmp_path, "bert")


def config_of(folder: Path) -> Any:
    return AutoConfig.from_pretrained(folder)


def test_states_are_those_of_its_own_modules(folder: Path) -> None:
    ours = load_bert(folder, config_of(folder), torch.float32)
    assert ours
    found = ours.states(ROW)
    model = AutoModel.from_pretrained(folder)
    expected = [model(input_ids=torch.tensor([ids])).last_hidden_state[0] for ids in ROW]
    torch.testing.assert_close(found, torch.cat(expected), atol=1e-6, rtol=1e-5)
    assert sum(weight.numel() for weight in ours.parameters()) == model.num_parameters()
    assert ours.architecture == model.config.model_type


def assert_same_states(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Compare states that were computed in a different way.

    Where the CPU multiplies bf16, one side may have fused layers, which round once where the other rounds twice: after
    the product, and after the activation. The unit roundoff of bf16 is 2**-8 of a number; over these two layers each
    side lies within 1.4 of it, of the largest state, from what fp32 gives. Elsewhere both sides round alike.
    """
    if found.dtype == torch.bfloat16 and multiplies_bf16():
        torch.testing.assert_close(found, expected, atol=4 * 2**-8 * float(expected.abs().max()), rtol=0)
    else:
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_they_are_those_of_its_own_modules_in_one_row(folder: Path, dtype: torch.dtype) -> None:
    ours, theirs = load_bert(folder, config_of(folder), dtype), Transformer(folder, config_of(folder), dtype)
    assert ours
    found, alone = ours.states(ROW), torch.cat([theirs.states([ids]) for ids in ROW])
    for body in (ours, theirs):
        assert body.pack_if_same(lambda body=body: body.states(ROW), alone)  # type: ignore[misc]  # its default says the type
    assert found.dtype == dtype
    assert_same_states(found, theirs.states(ROW))
    assert_same_states(found, ours.states(ROW))


def test_a_model_that_was_never_given_a_pooler(tmp_path: Path) -> None:
    folder = saved(tmp_path, "bert")
    weights = load_file(folder / "model.safetensors")
    edited = {name: weight for name, weight in weights.items() if "pooler" not in name}
    save_file({**edited, "embeddings.position_ids": torch.arange(20)[None]}, folder / "model.safetensors")
    ours = load_bert(folder, config_of(folder), torch.float32)
    assert ours
    assert sum(weight.numel() for weight in ours.parameters()) == sum(weight.numel() for weight in edited.values())


@given(st.lists(st.lists(st.integers(2, 49), min_size=1, max_size=18), min_size=1, max_size=6))
@settings(deadline=None, max_examples=40)
def test_a_text_has_its_states_in_any_company(tmp_path_factory: pytest.TempPathFactory, row: list[list[int]]) -> None:
    folder = tmp_path_factory.getbasetemp() / "company"
    if not folder.exists():
        saved(folder, "roberta")
    ours = load_bert(folder, config_of(folder), torch.float32)
    assert ours
    alone = torch.cat([ours.states([ids]) for ids in row])
    torch.testing.assert_close(ours.states(row), alone, atol=1e-5, rtol=1e-5)


def settings_of(**values: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text("utf-8")), **values}), "utf-8")

    return edit


def weights_of(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        change(weights)
        save_file(weights, folder / "model.safetensors")

    return edit


OTHER: dict[str, Callable[[Path], Any]] = {
    "another kind": settings_of(model_type="mpnet"),
    "another activation": settings_of(hidden_act="relu"),
    "a decoder": settings_of(is_decoder=True),
    "relative places": settings_of(position_embedding_type="relative_key"),
    "quantized": settings_of(quantization_config={"quant_method": "bitsandbytes"}),
    "another kernel": settings_of(attn_implementation="eager"),
    "more layers than weights": settings_of(num_hidden_layers=3),
    "fewer layers than weights": settings_of(num_hidden_layers=1),
    "more places than weights": settings_of(max_position_embeddings=40),
    "more tokens than weights": settings_of(vocab_size=60),
    "heads that do not divide it": settings_of(num_attention_heads=5),
    "weights for more": weights_of(lambda weights: weights.update({"cls.bias": torch.zeros(3)})),
    "weights under other names": weights_of(
        lambda weights: weights.update({f"bert.{name}": weights.pop(name) for name in list(weights)})
    ),
    "too few weights": weights_of(lambda weights: weights.pop("encoder.layer.1.output.dense.bias")),
    "weights in several files": lambda folder: (folder / "model.safetensors").rename(
        folder / "model-1-of-1.safetensors"
    ),
}


@pytest.mark.parametrize("what", OTHER)
def test_what_is_not_known_here_is_left_to_transformers(plain_bert: Path, what: str) -> None:
    assert load_bert(plain_bert, config_of(plain_bert), torch.float32)
    OTHER[what](plain_bert)
    assert load_bert(plain_bert, config_of(plain_bert), torch.float32) is None


def test_settling_says_no_where_vectors_are_others(plain_bert: Path) -> None:
    ours = load_bert(plain_bert, config_of(plain_bert), torch.float32)
    assert ours
    right = ours.states(ROW)
    assert ours.pack_if_same(lambda: ours.states(ROW), right)
    assert not ours.pack_if_same(lambda: ours.states(ROW), right + 1)
