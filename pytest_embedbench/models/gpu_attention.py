"""Attention on a GPU among the texts of a batch that stand in one row: within each, by torch's flash attention.

To import it takes longer than to import torch, for torch's compiler; so it is imported where there is a GPU to use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.attention import varlen

if TYPE_CHECKING:
    import torch

    from pytest_embedbench.models.text_attention import Row


def within_texts_on_gpu(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, row: Row, *, scale: float | None, causal: bool
) -> torch.Tensor:
    """As ``text_attention.within_texts``.

    Raises:
        RuntimeError: the kernel takes neither this number format (16 bits are needed) nor this size of heads, or the
            GPU is too old for it.
    """
    bounds, longest = row.bounds, row.longest
    made: torch.Tensor = varlen.varlen_attn(  # type: ignore[assignment]  # nothing else was asked for
        query,
        key,
        value,
        bounds,
        bounds,
        longest,
        longest,
        scale=scale,
        window_size=(-1, 0 if causal else -1),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return made
