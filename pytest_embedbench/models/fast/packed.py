"""Batches without padding through transformers' modules: all texts in one row, attention within each.

The linear layers get the tokens of a batch as one matrix without padding. The positions of the texts in the row reach
the attention as one of the model's inputs, which transformers' attention interface passes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from pytest_embedbench.models.fast.agreement import fuse_if_same
from pytest_embedbench.models.fast.attention import (
    KERNEL,
    PackedRow,
    pack_row,
    packed_attention,
    positions_in_texts,
    within_texts,
    within_texts_on_gpu,
)
from pytest_embedbench.models.fast.linear import Fusion, fusion_pays
from pytest_embedbench.models.local.transformers_compat import attention_kernel

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ATTENTION_NAME = "embedbench_packed"
"""Name under which transformers knows the attention of this module."""

ROW_FEATURE = "embedbench_row"
"""Name of the model input that holds the positions of the texts in the row, a ``PackedRow``."""

GPU = "cuda"

LOCAL_ATTENTION_SETTINGS = ("sliding_window", "local_attention")
"""Settings of models whose tokens attend to a neighbourhood, by masks that this module does not make."""


def can_pack(model: PreTrainedModel) -> bool:
    """Whether a model takes texts in one row: it must use ``KERNEL``, and its tokens attend to the whole text."""
    config = model.config
    local = any(getattr(config, name, None) for name in LOCAL_ATTENTION_SETTINGS)
    local = local or bool(set(getattr(config, "layer_types", None) or ()) - {"full_attention"})
    compatible = getattr(model, "is_backend_compatible", lambda: False)()
    return bool(compatible and not local and attention_kernel(config) == KERNEL)


class Packing:
    """Lets a transformer take batches without padding while it is on."""

    def __init__(self, model: PreTrainedModel) -> None:
        AttentionInterface.register(ATTENTION_NAME, attention)
        AttentionMaskInterface.register(ATTENTION_NAME, no_mask)
        self._model = model
        self._offset = first_position(model)
        self._fusion = Fusion(model) if model.device.type == "cpu" and fusion_pays(model.dtype) else None
        self.on = False

    @property
    def attention(self) -> str:
        """Name of the attention in the model's facts while this is on."""
        return "flash, packed" if self._model.device.type == GPU else packed_attention(self._model.dtype)

    def pack_if_same(self, compute: Callable[[], torch.Tensor], expected: torch.Tensor) -> bool:
        """Switch on, with fused linear layers where they pay and leave vectors as they are.

        A model may treat its inputs in ways unknown here, so its vectors decide: where they change either way, this
        stays off.

        Args:
            compute: makes vectors of sample texts as one batch, shape (texts, dimensions).
            expected: vectors of the same texts, computed in the model's own way.

        Returns:
            Whether it is on.
        """
        pays = self._fusion is not None
        if not fuse_if_same(lambda fused: self.switch(on=True, fused=fused), compute, expected, pays=pays):
            self.switch(on=False)
        return self.on

    def switch(self, *, on: bool, fused: bool = False) -> None:
        """Switch batches without padding on or off, and with them fused linear layers."""
        self.on = on
        # KERNEL is what the model had before: ``can_pack`` demands it.
        self._model.set_attn_implementation(ATTENTION_NAME if on else KERNEL)
        if self._fusion:
            self._fusion.switch(on=on and fused)

    def inputs(self, batch: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Return the model's inputs for a batch of texts, given as token numbers.

        Tokens and their positions in their texts are tensors of shape (1, tokens); where each text stands is a
        ``PackedRow``.
        """
        lengths = [len(ids) for ids in batch]
        return {
            "input_ids": torch.tensor([[token for ids in batch for token in ids]]),
            "position_ids": (positions_in_texts(lengths) + self._offset)[None],
            ROW_FEATURE: pack_row(lengths),
        }


def first_position(model: torch.nn.Module) -> int:
    """Return the number that a model gives to the first position of a text.

    BERT counts from 0, RoBERTa and its kind from the padding token's number plus 1. They are told apart as
    in sentence-transformers (``Transformer._infer_flatten_position_offset``).
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
    **inputs: Any,
) -> tuple[torch.Tensor, None]:
    """Return scaled dot-product attention within each text, as transformers calls it. No mask is needed.

    Args:
        module: the layer that attends; says whether it is causal, unless ``is_causal`` does.
        query: shape (1, heads, tokens, head size).
        key: same shape, or with fewer heads.
        value: as ``key``.
        scaling: factor of the scores; None for 1 / sqrt(head size).
        is_causal: whether a token sees only those before it.
        inputs: the model's other inputs; one is the ``PackedRow``.

    Returns:
        Shape (1, tokens, heads, head size), and None for the weights of attention.
    """
    causal = bool(getattr(module, "is_causal", False) if is_causal is None else is_causal)
    row: PackedRow = inputs[ROW_FEATURE]
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    if query.device.type == GPU:
        return within_texts_on_gpu(q, k, v, row, scale=scaling, causal=causal)[None], None
    return within_texts(q, k, v, row.spans, scale=scaling, causal=causal)[None], None


def no_mask(*_: Any, **__: Any) -> None:
    """Return no mask when transformers asks for one: ``attention`` reads the bounds of texts from the row."""
