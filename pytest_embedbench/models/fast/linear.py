"""Linear layers by oneDNN's own operation, with the activation that follows in it, on CPUs with AVX-512.

Measured there (fp32, one thread, 384 to 1536 numbers and GELU): 102 GFLOP/s against 62 of ``torch.nn.Linear`` and the
activation after it; the layer alone gains a tenth. On AVX2 it is slower than what torch does by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple, Protocol

import torch

from pytest_embedbench.machine.cpu import has_onednn_on_avx512, multiplies_bf16

FOLLOWS = (("dense", "intermediate_act_fn"), ("gate_proj", "act_fn"))
"""A linear layer and the activation that alone takes what it gives, as modules name them: BERT and its kind, gated
layers of Qwen, Llama and Gemma."""


class How(NamedTuple):
    """oneDNN's name of an activation and its variant."""

    name: str = "none"
    algorithm: str = ""


AFTER_NOTHING = How()
GELU = How("gelu", "none")

ACTIVATIONS = {
    "transformers.activations.GELUActivation": GELU,
    "transformers.activations.GELUTanh": How("gelu", "tanh"),
    "transformers.activations.SiLUActivation": How("swish"),
    "torch.nn.modules.activation.SiLU": How("swish"),
}
"""By the names of their classes: to import those of transformers takes long, and not all models need them."""


def fusion_pays(dtype: torch.dtype) -> bool:
    """Is this a CPU on which it is faster, and a number format that it has there?"""
    return multiplies_bf16() if dtype == torch.bfloat16 else dtype == torch.float32 and has_onednn_on_avx512()


def activation_after(module: torch.nn.Module) -> How | None:
    """How oneDNN does what a module does; None where it is not known that it can."""
    kind = type(module)
    return ACTIVATIONS.get(f"{kind.__module__}.{kind.__qualname__}")


class Layer(Protocol):
    """A linear layer's weights, shape (outputs, inputs), and bias."""

    @property
    def weight(self) -> torch.Tensor: ...
    @property
    def bias(self) -> torch.Tensor | None: ...


class _Pair(NamedTuple):
    """A linear layer and the activation that follows it, by its name in the module around both."""

    linear: torch.nn.Linear
    around: torch.nn.Module
    name: str
    activation: torch.nn.Module
    then: How


def _pairs(model: torch.nn.Module) -> Iterator[_Pair]:
    for around in model.modules():
        for first, last in FOLLOWS:
            linear, activation = getattr(around, first, None), getattr(around, last, None)
            # Not of classes derived from these: they may do more.
            if type(linear) is torch.nn.Linear and activation is not None and (then := activation_after(activation)):
                yield _Pair(linear, around, last, activation, then)


class Fusion:
    """Gives a model's linear layers that operation while it is on; for inference only."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._linears = [module for module in model.modules() if type(module) is torch.nn.Linear]
        self._pairs = list(_pairs(model))
        self._on = False

    def switch(self, *, on: bool) -> None:
        if on == self._on:
            return
        self._on = on
        if on:
            then = {id(pair.linear): pair.then for pair in self._pairs}
            for linear in self._linears:
                how = then.get(id(linear), AFTER_NOTHING)
                linear.forward = partial(fused_linear, linear, how)  # type: ignore[method-assign]
        else:
            for linear in self._linears:
                del linear.forward
        for pair in self._pairs:
            setattr(pair.around, pair.name, torch.nn.Identity() if on else pair.activation)


def fused_linear(layer: Layer, then: How, states: torch.Tensor) -> torch.Tensor:
    """The layer's output for states of shape (..., its inputs), through the activation."""
    operation = torch.ops.mkldnn._linear_pointwise  # noqa: SLF001 - torch's own compiler uses it; it has no other name
    made: torch.Tensor = operation(states, layer.weight, layer.bias, then.name, [], then.algorithm)
    return made
