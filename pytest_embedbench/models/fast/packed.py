"""Batches without padding: all texts in one row, attention within each.

The linear layers see the tokens of a batch as one matrix, and no padding. Where texts stand in the row goes through
transformers' attention interface.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from pytest_embedbench.models.fast.agreement import settled
from pytest_embedbench.models.fast.attention import KERNEL, Row, packed_attention, places_within, row_of, within_texts
from pytest_embedbench.models.fast.linear import Fusion, fusion_pays

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "embedbench_packed"
ROW = "embedbench_row"
"""The feature that says where texts stand: a ``Row``."""

GPU = "cuda"

LOCAL = ("sliding_window", "local_attention")
"""Settings of models that attend to a neighbourhood, by masks that are not made here."""


def can_pack(model: PreTrainedModel) -> bool:
    """Does it take texts in one row, with attention whole and of the kernel that is replaced?"""
    config = model.config
    local = any(getattr(config, name, None) for name in LOCAL) or set(getattr(config, "layer_types", None) or ()) - {
        "full_attention"
    }
    compatible = getattr(model, "is_backend_compatible", lambda: False)()
    return bool(compatible and not local and getattr(config, "_attn_implementation", "") == KERNEL)


class Packing:
    """Gives a transformer's batches without padding while it is on."""

    def __init__(self, model: PreTrainedModel) -> None:
        AttentionInterface.register(NAME, attention)
        AttentionMaskInterface.register(NAME, no_mask)
        self._model = model
        self._offset = first_position(model)
        self._fusion = Fusion(model) if model.device.type == "cpu" and fusion_pays(model.dtype) else None
        self.on = False

    @property
    def attention(self) -> str:
        """What the facts of the model say of its attention while this is on."""
        return "flash, packed" if self._model.device.type == GPU else packed_attention(self._model.dtype)

    def settle(self, vectors: Callable[[], torch.Tensor], expected: torch.Tensor) -> bool:
        """Switch on: with linear layers fused where that pays, without where that changes vectors.

        Off, and False, where vectors are not as expected either way: a model may do with its inputs what nobody here
        knows.
        """
        if not settled(
            lambda fused: self.switch(on=True, fused=fused), vectors, expected, pays=self._fusion is not None
        ):
            self.switch(on=False)
        return self.on

    def switch(self, *, on: bool, fused: bool = False) -> None:
        self.on = on
        self._model.set_attn_implementation(NAME if on else KERNEL)
        if self._fusion:
            self._fusion.switch(on=on and fused)

    def inputs(self, batch: Sequence[Sequence[int]]) -> dict[str, Any]:
        """The tokens of a batch in one row, their places in their texts, and what attention needs to tell these apart.

        Tokens and places are tensors of shape (1, tokens), the last is a ``Row``.
        """
        lengths = [len(ids) for ids in batch]
        return {
            "input_ids": torch.tensor([[token for ids in batch for token in ids]]),
            "position_ids": (places_within(lengths) + self._offset)[None],
            ROW: row_of(lengths),
        }


def first_position(model: torch.nn.Module) -> int:
    """The number of a text's first place: BERT counts from 0, RoBERTa and its kind from behind the padding's number.

    As sentence-transformers tells them apart (``Transformer._infer_flatten_position_offset``).
    """
    for module in model.modules():
        padding = getattr(module, "padding_idx", None)
        if isinstance(padding, int) and isinstance(getattr(module, "position_embeddings", None), torch.nn.Embedding):
            return padding + 1
    return 0


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
    row: Row = more[ROW]
    q, k, v = (whole[0].transpose(0, 1) for whole in (query, key, value))
    if query.device.type == GPU:
        from pytest_embedbench.models.fast.attention import within_texts_on_gpu

        return within_texts_on_gpu(q, k, v, row, scale=scaling, causal=causal)[None], None
    return within_texts(q, k, v, row.spans, scale=scaling, causal=causal)[None], None


def no_mask(*_: Any, **__: Any) -> None:
    """What transformers asks for a mask: there is none."""
