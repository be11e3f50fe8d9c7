"""Linear layers by oneDNN's own operation, which also applies the activation after the layer; for AVX-512.

Measured there (fp32, one thread, 384 to 1536 numbers and GELU): 102 GFLOP/s, against 62 with ``torch.nn.Linear`` and
the activation after it; the layer alone gains a tenth. On AVX2 it is slower than torch's own layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple, Protocol

import torch

from pytest_embedbench.machine import torch_compat
from pytest_embedbench.machine.cpu import has_onednn_on_avx512, multiplies_bf16

FUSIBLE_PAIRS = (("dense", "intermediate_act_fn"), ("gate_proj", "act_fn"))
"""Names of a linear layer and of the activation that alone takes its output, as attributes of the module around both:
BERT and its kind; gated layers of Qwen, Llama and Gemma."""


class Activation(NamedTuple):
    """oneDNN's name of an activation, and its variant."""

    name: str = "none"
    algorithm: str = ""


NO_ACTIVATION = Activation()
GELU = Activation("gelu", "none")

ONEDNN_ACTIVATIONS = {
    "transformers.activations.GELUActivation": GELU,
    "transformers.activations.GELUTanh": Activation("gelu", "tanh"),
    "transformers.activations.SiLUActivation": Activation("swish"),
    "torch.nn.modules.activation.SiLU": Activation("swish"),
}
"""Qualified name of an activation's class -> oneDNN's activation. Classes are named, not imported, since importing
transformers takes long and not all models need it."""


def fusion_pays(dtype: torch.dtype) -> bool:
    """Whether fused layers are faster on this CPU in this number format."""
    return multiplies_bf16() if dtype == torch.bfloat16 else dtype == torch.float32 and has_onednn_on_avx512()


def onednn_activation(module: torch.nn.Module) -> Activation | None:
    """Return oneDNN's activation that computes the same as a module; None if there is none for its class."""
    kind = type(module)
    return ONEDNN_ACTIVATIONS.get(f"{kind.__module__}.{kind.__qualname__}")


class Layer(Protocol):
    """A linear layer's weights, shape (outputs, inputs), and bias, shape (outputs,)."""

    @property
    def weight(self) -> torch.Tensor: ...
    @property
    def bias(self) -> torch.Tensor | None: ...


class _FusiblePair(NamedTuple):
    """A linear layer and the activation that follows it, which is the attribute ``name`` of ``parent``."""

    linear: torch.nn.Linear
    parent: torch.nn.Module
    name: str
    module: torch.nn.Module
    activation: Activation


def _fusible_pairs(model: torch.nn.Module) -> Iterator[_FusiblePair]:
    for parent in model.modules():
        for linear_name, name in FUSIBLE_PAIRS:
            linear, module = getattr(parent, linear_name, None), getattr(parent, name, None)
            # Exactly this class: a derived one may do more.
            if type(linear) is torch.nn.Linear and module is not None and (activation := onednn_activation(module)):
                yield _FusiblePair(linear, parent, name, module, activation)


class Fusion:
    """Replaces a model's linear layers, and the activations after them, by oneDNN's operation while it is on.

    For inference only: gradients do not pass.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._linears = [module for module in model.modules() if type(module) is torch.nn.Linear]
        self._pairs = list(_fusible_pairs(model))
        self._on = False

    def switch(self, *, on: bool) -> None:
        """Replace the layers, or put the model's own back."""
        if on == self._on:
            return
        self._on = on
        if on:
            activations = {id(pair.linear): pair.activation for pair in self._pairs}
            for linear in self._linears:
                activation = activations.get(id(linear), NO_ACTIVATION)
                linear.forward = partial(fused_linear, linear, activation)  # type: ignore[method-assign]
        else:
            for linear in self._linears:
                del linear.forward  # the class's own shows again
        # The fused layer has applied the activation already.
        for pair in self._pairs:
            setattr(pair.parent, pair.name, torch.nn.Identity() if on else pair.module)


def fused_linear(layer: Layer, activation: Activation, states: torch.Tensor) -> torch.Tensor:
    """Return the layer's output after the activation, shape (..., outputs), for states of shape (..., inputs)."""
    return torch_compat.fused_linear(states, layer.weight, layer.bias, activation.name, activation.algorithm)
