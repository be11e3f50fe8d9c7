"""Batches without padding, on a CPU: all texts in one row, attention within each.

The linear layers see the tokens of a batch as one matrix, and no padding; attention runs text by text, those of one
length together. The texts' places go through transformers' attention interface.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from pytest_embedbench.models.fused import Fusion, fusion_pays
from pytest_embedbench.models.text_attention import attend

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "embedbench_packed"
SPANS = "embedbench_spans"
"""The feature that says where texts are: rows of start, length, and how many of that length follow each other."""

REPLACED = "sdpa"
"""The kernel that each text's attention runs through; a checkpoint that asks for another one keeps it, and padding."""

LOCAL = ("sliding_window", "local_attention")
"""Settings of models that attend to a neighbourhood, by masks that are not made here."""

PACKED = f"{REPLACED}, packed"
"""What the facts of a model say of its attention while it is without padding."""

APART = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""How far numbers of a vector may be apart with padding and without, as a share of the largest: rounding, not more."""


def can_pack(model: PreTrainedModel) -> bool:
    """Does it take texts in one row, with attention whole and of the kernel that is replaced?"""
    config = model.config
    local = any(getattr(config, name, None) for name in LOCAL) or set(getattr(config, "layer_types", None) or ()) - {
        "full_attention"
    }
    compatible = getattr(model, "is_backend_compatible", lambda: False)()
    return bool(compatible and not local and getattr(config, "_attn_implementation", "") == REPLACED)


class Packing:
    """Gives a transformer's batches without padding while it is on."""

    def __init__(self, model: PreTrainedModel) -> None:
        AttentionInterface.register(NAME, attention)
        AttentionMaskInterface.register(NAME, no_mask)
        self._model = model
        self._offset = first_position(model)
        self._fusion = Fusion(model) if fusion_pays(model.dtype) else None

    def settle(self, vectors: Callable[[], torch.Tensor], expected: torch.Tensor) -> bool:
        """Switch on: with linear layers fused where that pays, without where that changes vectors.

        Off, and False, where vectors are not as expected either way: a model may do with its inputs what nobody here
        knows.
        """
        for fused in (True, False) if self._fusion else (False,):
            self.switch(on=True, fused=fused)
            if near(vectors, expected):
                return True
            self.switch(on=False)
        return False

    def switch(self, *, on: bool, fused: bool = False) -> None:
        self._model.set_attn_implementation(NAME if on else REPLACED)
        if self._fusion:
            self._fusion.switch(on=on and fused)

    def inputs(self, batch: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        """The tokens of a batch in one row, their places in their texts, and what attention needs to tell these apart.

        Tokens and places have shape (1, tokens).
        """
        lengths = torch.tensor([len(ids) for ids in batch])
        starts = lengths.cumsum(0) - lengths
        places = torch.arange(int(lengths.sum())) - torch.repeat_interleave(starts, lengths)
        return {
            "input_ids": torch.tensor([[token for ids in batch for token in ids]]),
            "position_ids": (places + self._offset)[None],
            SPANS: spans(lengths.tolist()),
        }


def near(vectors: Callable[[], torch.Tensor], expected: torch.Tensor) -> bool:
    """Are these the vectors, but for rounding? Not if there are none."""
    try:
        found = vectors()
    except Exception:  # noqa: BLE001 - whatever a model raises on inputs that it does not know
        return False
    apart = (found.float() - expected.float()).abs().max() / expected.float().abs().max()
    return bool(apart < APART[expected.dtype])


def first_position(model: torch.nn.Module) -> int:
    """The number of a text's first place: BERT counts from 0, RoBERTa and its kind from behind the padding's number.

    As sentence-transformers tells them apart (``Transformer._infer_flatten_position_offset``).
    """
    for module in model.modules():
        padding = getattr(module, "padding_idx", None)
        if isinstance(padding, int) and isinstance(getattr(module, "position_embeddings", None), torch.nn.Embedding):
            return padding + 1
    return 0


def spans(lengths: Sequence[int]) -> torch.Tensor:
    """Rows of start, length, count: texts of one length that follow each other are one row; shape (rows, 3)."""
    rows, start = [], 0
    for length, same in groupby(lengths):
        count = sum(1 for _ in same)
        rows.append((start, length, count))
        start += length * count
    return torch.tensor(rows)


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _: torch.Tensor | None,
    *,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention within each text. No mask is looked at: texts lie apart.

    Shapes are (1, heads, tokens, size of a head); of keys and values there may be fewer heads. The result has shape (1,
    tokens, heads, size of a head), as transformers wants it.
    """
    causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
    made = query.new_empty(1, query.shape[2], query.shape[1], query.shape[3])
    for start, length, count in more[SPANS].tolist():
        end = start + length * count
        q, k, v = (
            whole[0, :, start:end].reshape(-1, count, length, whole.shape[3]).transpose(0, 1)
            for whole in (query, key, value)
        )
        made[0, start:end] = attend(q, k, v, scale=scaling, causal=causal).transpose(1, 2).flatten(0, 1)
    return made, None


def no_mask(*_: Any, **__: Any) -> None:
    """What transformers asks for a mask: there is none."""
