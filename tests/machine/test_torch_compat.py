"""Names of torch that are not public: here as long as torch has them, and what happens without each."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from pytest_embedbench.machine import torch_compat

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]  # torch's own gap
    reason="this build of torch has no oneDNN",
)

NAMES = (
    (torch.ops.mkldnn, torch_compat.LINEAR_OPERATION),
    (torch.ops.mkldnn, "_is_mkldnn_bf16_supported"),
    (torch.ops.mkldnn, "_is_mkldnn_fp16_supported"),
    (torch.ops.aten, "gelu_"),
    (torch.cpu, "_is_amx_tile_supported"),
)


@pytest.mark.parametrize(("owner", "name"), NAMES, ids=[name for _, name in NAMES])
def test_torch_still_has_the_name(owner: object, name: str) -> None:
    assert hasattr(owner, name), (
        f"torch {torch.__version__} has no {name}: see what replaces it in machine/torch_compat"
    )


def test_a_fused_layer_is_the_layer_and_its_activation() -> None:
    torch.manual_seed(0)
    states, layer = torch.randn(2, 5, 8), torch.nn.Linear(8, 3)
    with torch.inference_mode():
        fused = torch_compat.fused_linear(states, layer.weight, layer.bias, "gelu", "none")
        torch.testing.assert_close(fused, torch.nn.functional.gelu(layer(states)))
        torch.testing.assert_close(torch_compat.gelu_in_place(layer(states)), fused)


def test_answers_are_booleans() -> None:
    assert torch_compat.has_fused_linear()
    for answer in (torch_compat.onednn_multiplies_bf16, torch_compat.onednn_multiplies_fp16, torch_compat.has_amx):
        assert answer() in {True, False}


def test_without_the_names_nothing_is_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())
    monkeypatch.setattr(torch.ops, "aten", SimpleNamespace())
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    assert not torch_compat.has_fused_linear()
    assert not torch_compat.onednn_multiplies_bf16()
    assert not torch_compat.onednn_multiplies_fp16()
    assert not torch_compat.has_amx()
    states = torch.randn(4)
    assert torch.equal(torch_compat.gelu_in_place(states), torch.nn.functional.gelu(states))
