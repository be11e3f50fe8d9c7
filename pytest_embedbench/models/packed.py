"""Batches without padding, on a CPU: all texts in one row, attention within each.

The linear layers see the tokens of a batch as one matrix, and no padding; attention runs text by text, those of one
length together. The texts' places go through transformers' attention interface, and sentence-transformers pools by its
own features for flattened inputs (made for flash attention, which CPUs have not).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

NAME = "embedbench_packed"
SPANS = "embedbench_spans"
"""The feature that says where texts are: rows of start, length, and how many of that length follow each other."""

REPLACED = "sdpa"
"""The kernel that each text's attention runs through; a checkpoint that asks for another one keeps it, and padding."""

LOCAL = ("sliding_window", "local_attention")
"""Settings of models that attend to a neighbourhood, by masks that are not made here."""


def can_pack(model: SentenceTransformer) -> bool:
    """Is every module one that takes texts in one row, and attention whole and of the kernel that is replaced?"""
    first = model[0]
    if not isinstance(first, Transformer) or first.backend != "torch" or first.transformer_task != "feature-extraction":
        return False
    config = first.config
    local = any(getattr(config, name, None) for name in LOCAL) or set(getattr(config, "layer_types", None) or ()) - {
        "full_attention"
    }
    plain = all(isinstance(module, (Pooling, Normalize, Dense)) for module in list(model)[1:])
    compatible = getattr(first.model, "is_backend_compatible", lambda: False)()
    return bool(plain and compatible and not local and getattr(config, "_attn_implementation", "") == REPLACED)


class Packing:
    """Gives a model's batches without padding while it is on."""

    def __init__(self, first: Transformer) -> None:
        AttentionInterface.register(NAME, attention)
        AttentionMaskInterface.register(NAME, no_mask)
        self._offset = first._infer_flatten_position_offset()  # noqa: SLF001 - there is no public way to ask
        if first.model_forward_params is not None:
            first.model_forward_params |= {SPANS}
        self._first = first

    def switch(self, *, on: bool) -> None:
        self._first.model.set_attn_implementation(NAME if on else REPLACED)

    def features(self, batch: Sequence[Sequence[int]]) -> dict[str, Any]:
        """The tokens of a batch in one row, and what attention and pooling need to tell texts apart."""
        lengths = torch.tensor([len(ids) for ids in batch])
        ends = lengths.cumsum(0)
        starts = ends - lengths
        places = torch.arange(int(ends[-1])) - torch.repeat_interleave(starts, lengths)
        return {
            "input_ids": torch.tensor([[token for ids in batch for token in ids]]),
            "position_ids": (places + self._offset)[None],
            "cu_seq_lens_q": torch.cat([torch.zeros(1, dtype=torch.long), ends]),
            "seq_idx": torch.repeat_interleave(torch.arange(len(batch)), lengths)[None],
            SPANS: spans(lengths.tolist()),
        }


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
    grouped = query.shape[1] != key.shape[1]
    made = query.new_empty(1, query.shape[2], query.shape[1], query.shape[3])
    for start, length, count in more[SPANS].tolist():
        end = start + length * count
        q, k, v = (
            whole[0, :, start:end].reshape(-1, count, length, whole.shape[3]).transpose(0, 1)
            for whole in (query, key, value)
        )
        found = torch.nn.functional.scaled_dot_product_attention(
            q, k, v, scale=scaling, is_causal=causal and length > 1, enable_gqa=grouped
        )
        made[0, start:end] = found.transpose(1, 2).flatten(0, 1)
    return made, None


def no_mask(*_: Any, **__: Any) -> None:
    """What transformers asks for a mask: there is none."""
