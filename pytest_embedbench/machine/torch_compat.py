"""Private names of torch that have no public form, each with a fallback for releases that lack it.

``tests/machine/test_torch_compat.py`` fails as soon as one of them is gone.
"""

from __future__ import annotations

from typing import Any

import torch

LINEAR_OPERATION = "_linear_pointwise"


def has_fused_linear() -> bool:
    """Whether ``fused_linear`` can be called; otherwise layers and activations run one after the other."""
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, LINEAR_OPERATION)  # type: ignore[no-untyped-call]  # torch's own gap


def fused_linear(
    states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, activation: str, algorithm: str
) -> torch.Tensor:
    """Run oneDNN's linear layer with an activation inside; torch's own compiler calls it.

    Args:
        states: shape (..., inputs).
        weight: shape (outputs, inputs).
        bias: shape (outputs,).
        activation: oneDNN's name of the activation; ``none`` for none.
        algorithm: the variant of the activation, e.g. ``tanh`` for ``gelu``; empty where it has none.

    Returns:
        Shape (..., outputs).
    """
    output: torch.Tensor = getattr(torch.ops.mkldnn, LINEAR_OPERATION)(states, weight, bias, activation, [], algorithm)
    return output


def gelu_in_place(states: torch.Tensor) -> torch.Tensor:
    """Return GELU of the states, which are overwritten where torch can do that."""
    operation = getattr(torch.ops.aten, "gelu_", None)
    output: torch.Tensor = operation(states) if operation else torch.nn.functional.gelu(states)
    return output


def onednn_multiplies_bf16() -> bool:
    """Whether oneDNN has bf16 instructions on this CPU; False if torch does not say."""
    return _ask(torch.ops.mkldnn, "_is_mkldnn_bf16_supported")


def onednn_multiplies_fp16() -> bool:
    """Whether oneDNN has fp16 instructions on this CPU; False if torch does not say."""
    return _ask(torch.ops.mkldnn, "_is_mkldnn_fp16_supported")


def has_amx() -> bool:
    """Whether this CPU has AMX's matrix tiles; False if torch does not say."""
    return _ask(torch.cpu, "_is_amx_tile_supported")


def _ask(owner: Any, name: str) -> bool:
    question = getattr(owner, name, None)
    return bool(question and question())
