"""BERT and its kind on a CPU, with the texts of a batch in one row.

The operations and their order are those of transformers (``BertModel``, ``RobertaModel`` and its copies, with their
sdpa attention), so that vectors are the same bit by bit. They are written out here because importing transformers'
modelling code takes longer than importing torch (it brings losses and training across machines), and because here a
single matrix product makes a layer's queries, keys and values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file

from pytest_embedbench.machine.torch_compat import gelu_in_place
from pytest_embedbench.models.fast.agreement import fuse_if_same
from pytest_embedbench.models.fast.attention import KERNEL, Span, positions_in_texts, spans, within_texts
from pytest_embedbench.models.fast.linear import GELU, NO_ACTIVATION, Activation, fused_linear, fusion_pays
from pytest_embedbench.models.local.transformers_compat import attention_kernel

POSITIONS_AFTER_PADDING = {"bert": False, "roberta": True, "xlm-roberta": True, "camembert": True}
"""``model_type`` of a model that computes as BERT does -> whether its positions count from the padding token's number
plus 1; otherwise they count from 0."""

REQUIRED_SETTINGS = {
    "hidden_act": "gelu",
    "is_decoder": False,
    "add_cross_attention": False,
    "position_embedding_type": "absolute",
    "quantization_config": None,
}
"""Settings of a model that this module computes; a setting that is absent has this value."""

POOLER_WEIGHTS = {"pooler.dense.weight", "pooler.dense.bias"}
"""Weights of BERT's own pooler, a layer after the states that embeddings do not use."""


def load_bert(folder: Path, config: Any, dtype: torch.dtype) -> Bert | None:
    """Return the model in a folder; None if it is of another kind, or has settings or weights unknown here.

    Args:
        folder: holds ``model.safetensors``.
        config: transformers' configuration of the model, or the ``Sizes`` kept of it.
        dtype: the number format to convert the weights to.
    """
    file = folder / "model.safetensors"
    if config.model_type not in POSITIONS_AFTER_PADDING or not file.exists():
        return None
    if attention_kernel(config) not in {"", KERNEL}:
        return None
    if any(getattr(config, name, required) != required for name, required in REQUIRED_SETTINGS.items()):
        return None
    # Read only now: the checks above need no weights, which may be gigabytes.
    weights = load_file(file)
    weights.pop("embeddings.position_ids", None)  # numbers from 0 on, which older releases stored
    try:
        return Bert({name: weight.to(dtype) for name, weight in weights.items()}, config)
    except (KeyError, ValueError):
        return None


class _Linear(NamedTuple):
    weight: torch.Tensor
    bias: torch.Tensor


class _Norm(NamedTuple):
    weight: torch.Tensor
    bias: torch.Tensor
    epsilon: float

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.layer_norm(states, self.weight.shape, self.weight, self.bias, self.epsilon)


class _Layer(NamedTuple):
    qkv: _Linear
    """Makes queries, keys and values, side by side."""
    attention: _Linear
    attention_norm: _Norm
    wide: _Linear
    narrow: _Linear
    norm: _Norm


class Bert:
    """A ``Body`` with the weights given, by transformers' names for them.

    Raises:
        KeyError: a weight is missing.
        ValueError: there are weights that this module does not use, or their shapes are not those in ``config``.
    """

    def __init__(self, weights: dict[str, torch.Tensor], config: Any) -> None:
        self.architecture = str(config.model_type)
        self._first_position = config.pad_token_id + 1 if POSITIONS_AFTER_PADDING[self.architecture] else 0
        self._heads: int = config.num_attention_heads
        self._fused = False
        remaining = _Weights(weights, config.layer_norm_eps)
        self._words = remaining.take("embeddings.word_embeddings.weight")
        self._positions = remaining.take("embeddings.position_embeddings.weight")
        self._token_types = remaining.take("embeddings.token_type_embeddings.weight")
        self._norm = remaining.take_norm("embeddings.LayerNorm")
        self._layers = [_take_layer(remaining, f"encoder.layer.{number}") for number in range(config.num_hidden_layers)]
        # Kept for ``parameters``, and so that ``_fits`` can refuse weights that this module does not know.
        self._unused = remaining.tensors
        if not self._fits(config):
            raise ValueError

    def _fits(self, config: Any) -> bool:
        width = config.hidden_size
        return (
            width % self._heads == 0
            and self._words.shape == (config.vocab_size, width)
            and self._positions.shape == (config.max_position_embeddings, width)
            and all(layer.qkv.weight.shape == (3 * width, width) for layer in self._layers)
            and self._unused.keys() <= POOLER_WEIGHTS
        )

    def parameters(self) -> Iterator[torch.Tensor]:
        """Yield all weights, those of the pooler too: they count as the model's parameters."""
        yield from (self._words, self._positions, self._token_types, *self._norm[:2], *self._unused.values())
        for layer in self._layers:
            for part in layer:
                yield from part[:2]

    def pack_if_same(self, compute: Callable[[], torch.Tensor], expected: torch.Tensor) -> bool:
        """Fuse linear layers where that pays and leaves vectors as they are; batches are in one row either way."""
        return fuse_if_same(self._switch, compute, expected, pays=fusion_pays(self._words.dtype))

    def _switch(self, fused: bool) -> None:  # noqa: FBT001 - a switch
        self._fused = fused

    def states(self, batch: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the states of all tokens of a batch, text after text, shape (tokens, width)."""
        lengths = [len(ids) for ids in batch]
        tokens = torch.tensor([token for ids in batch for token in ids])
        positions = positions_in_texts(lengths) + self._first_position
        # All tokens are of type 0. The sums are in transformers' order, for the same rounding.
        states = torch.nn.functional.embedding(tokens, self._words).add_(self._token_types[0])
        states = states.add_(torch.nn.functional.embedding(positions, self._positions))
        states, texts = self._norm(states), spans(lengths)
        for layer in self._layers:
            states = self._apply(layer, states, texts)
        return states

    def _apply(self, layer: _Layer, states: torch.Tensor, texts: Sequence[Span]) -> torch.Tensor:
        """Return the states that a layer makes of these, shape (tokens, width)."""
        q, k, v = self._linear(layer.qkv, states).view(len(states), 3, self._heads, -1).unbind(1)
        attended = within_texts(q, k, v, texts, scale=None, causal=False).flatten(1)
        states = layer.attention_norm(self._linear(layer.attention, attended).add_(states))
        wide = self._linear(layer.wide, states, GELU)
        return layer.norm(self._linear(layer.narrow, wide).add_(states))

    def _linear(self, layer: _Linear, states: torch.Tensor, activation: Activation = NO_ACTIVATION) -> torch.Tensor:
        if self._fused:
            return fused_linear(layer, activation, states)
        output = torch.nn.functional.linear(states, *layer)
        # In place, since it is the largest tensor of all.
        return gelu_in_place(output) if activation is GELU else output


class _Weights:
    """The weights of a checkpoint that have not been taken yet, by name."""

    def __init__(self, tensors: dict[str, torch.Tensor], epsilon: float) -> None:
        self.tensors, self._epsilon = tensors, epsilon

    def take(self, name: str) -> torch.Tensor:
        return self.tensors.pop(name)

    def take_linear(self, name: str) -> _Linear:
        return _Linear(self.take(f"{name}.weight"), self.take(f"{name}.bias"))

    def take_norm(self, name: str) -> _Norm:
        return _Norm(self.take(f"{name}.weight"), self.take(f"{name}.bias"), self._epsilon)


def _take_layer(weights: _Weights, name: str) -> _Layer:
    parts = [weights.take_linear(f"{name}.attention.self.{part}") for part in ("query", "key", "value")]
    return _Layer(
        qkv=_Linear(*(torch.cat(tensors) for tensors in zip(*parts, strict=True))),
        attention=weights.take_linear(f"{name}.attention.output.dense"),
        attention_norm=weights.take_norm(f"{name}.attention.output.LayerNorm"),
        wide=weights.take_linear(f"{name}.intermediate.dense"),
        narrow=weights.take_linear(f"{name}.output.dense"),
        norm=weights.take_norm(f"{name}.output.LayerNorm"),
    )
