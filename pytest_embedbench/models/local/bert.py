"""BERT and its kind on a CPU, the texts of a batch in one row.

transformers' operations in their order (``BertModel``, ``RobertaModel`` and its copies, with their sdpa attention), so
that vectors are the same bit by bit. They stand here once more because importing transformers' modelling code takes
longer than importing torch, for losses and for training across machines; and as one product makes a layer's queries,
keys and values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file

from pytest_embedbench.models.fast.agreement import settled
from pytest_embedbench.models.fast.attention import KERNEL, Span, places_within, spans, within_texts
from pytest_embedbench.models.fast.linear import AFTER_NOTHING, GELU, How, fused_linear, fusion_pays

KINDS = {"bert": False, "roberta": True, "xlm-roberta": True, "camembert": True}
"""Kinds of models that compute as BERT does; do they count places from behind the padding's number, or from 0?"""

USUAL = {
    "hidden_act": "gelu",
    "is_decoder": False,
    "add_cross_attention": False,
    "position_embedding_type": "absolute",
    "quantization_config": None,
}
"""Settings under which a model computes what is written here."""

NOT_STATES = {"pooler.dense.weight", "pooler.dense.bias"}
"""Weights for what is made of the states: not used in embedding texts."""


def bert(folder: Path, config: Any, dtype: torch.dtype) -> Bert | None:
    """The model in a folder; None where it is of another kind, or its settings or weights are not the usual ones."""
    file = folder / "model.safetensors"
    if config.model_type not in KINDS or not file.exists():
        return None
    kernel = getattr(config, "_attn_implementation", None)
    if kernel not in {None, KERNEL} or any(getattr(config, name, usual) != usual for name, usual in USUAL.items()):
        return None
    weights = load_file(file)
    weights.pop("embeddings.position_ids", None)  # numbers from 0 on, which older releases stored
    try:
        model = Bert({name: weight.to(dtype) for name, weight in weights.items()}, config)
    except (KeyError, ValueError):
        return None
    return model


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
    attended: _Linear
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
        ValueError: there are weights of more than is computed here, or their shapes are not those that ``config`` says.
    """

    def __init__(self, weights: dict[str, torch.Tensor], config: Any) -> None:
        self.architecture = str(config.model_type)
        self._first = config.pad_token_id + 1 if KINDS[self.architecture] else 0
        self._heads: int = config.num_attention_heads
        self._fused = False
        taken = _Taken(weights, config.layer_norm_eps)
        self._words = taken.one("embeddings.word_embeddings.weight")
        self._places = taken.one("embeddings.position_embeddings.weight")
        self._kinds = taken.one("embeddings.token_type_embeddings.weight")
        self._norm = taken.norm("embeddings.LayerNorm")
        self._layers = [_layer(taken, f"encoder.layer.{number}") for number in range(config.num_hidden_layers)]
        self._unused = taken.left
        if not self._fits(config):
            raise ValueError

    def _fits(self, config: Any) -> bool:
        width = config.hidden_size
        return (
            width % self._heads == 0
            and self._words.shape == (config.vocab_size, width)
            and self._places.shape == (config.max_position_embeddings, width)
            and all(layer.attended.weight.shape == (3 * width, width) for layer in self._layers)
            and self._unused.keys() <= NOT_STATES
        )

    def parameters(self) -> Iterator[torch.Tensor]:
        yield from (self._words, self._places, self._kinds, *self._norm[:2], *self._unused.values())
        for layer in self._layers:
            for part in layer:
                yield from part[:2]

    def settle(self, vectors: Callable[[], torch.Tensor], expected: torch.Tensor) -> bool:
        """Fuse linear layers where that pays and leaves vectors as they are."""
        return settled(self._switch, vectors, expected, pays=fusion_pays(self._words.dtype))

    def _switch(self, fused: bool) -> None:  # noqa: FBT001 - a switch
        self._fused = fused

    def states(self, row: Sequence[Sequence[int]]) -> torch.Tensor:
        lengths = [len(ids) for ids in row]
        words = torch.tensor([token for ids in row for token in ids])
        states = torch.nn.functional.embedding(words, self._words).add_(self._kinds[0])
        states = states.add_(torch.nn.functional.embedding(places_within(lengths) + self._first, self._places))
        states, texts = self._norm(states), spans(lengths)
        for layer in self._layers:
            states = self._after(layer, states, texts)
        return states

    def _after(self, layer: _Layer, states: torch.Tensor, texts: Sequence[Span]) -> torch.Tensor:
        """The states that a layer makes of these, shape (tokens, width)."""
        q, k, v = self._linear(layer.attended, states).view(len(states), 3, self._heads, -1).unbind(1)
        attended = within_texts(q, k, v, texts, scale=None, causal=False).flatten(1)
        states = layer.attention_norm(self._linear(layer.attention, attended).add_(states))
        wide = self._linear(layer.wide, states, GELU)
        return layer.norm(self._linear(layer.narrow, wide).add_(states))

    def _linear(self, layer: _Linear, states: torch.Tensor, then: How = AFTER_NOTHING) -> torch.Tensor:
        if self._fused:
            return fused_linear(layer, then, states)
        made = torch.nn.functional.linear(states, *layer)
        # In place, for which there is no public name: it is the largest tensor of all.
        return torch.ops.aten.gelu_(made) if then is GELU else made


class _Taken:
    """Weights taken by name."""

    def __init__(self, weights: dict[str, torch.Tensor], epsilon: float) -> None:
        self.left, self._epsilon = weights, epsilon

    def one(self, name: str) -> torch.Tensor:
        return self.left.pop(name)

    def linear(self, name: str) -> _Linear:
        return _Linear(self.one(f"{name}.weight"), self.one(f"{name}.bias"))

    def norm(self, name: str) -> _Norm:
        return _Norm(self.one(f"{name}.weight"), self.one(f"{name}.bias"), self._epsilon)


def _layer(taken: _Taken, name: str) -> _Layer:
    parts = [taken.linear(f"{name}.attention.self.{part}") for part in ("query", "key", "value")]
    return _Layer(
        attended=_Linear(*(torch.cat(tensors) for tensors in zip(*parts, strict=True))),
        attention=taken.linear(f"{name}.attention.output.dense"),
        attention_norm=taken.norm(f"{name}.attention.output.LayerNorm"),
        wide=taken.linear(f"{name}.intermediate.dense"),
        narrow=taken.linear(f"{name}.output.dense"),
        norm=taken.norm(f"{name}.output.LayerNorm"),
    )
