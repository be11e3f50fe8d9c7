"""Attention for batches whose texts stand in one row, without padding: tokens attend only within their own text.

On a CPU texts of one length that follow each other are computed together; on a GPU torch's flash attention for texts
of different lengths takes the whole row.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import NamedTuple

import torch

from pytest_embedbench.machine.cpu import multiplies_bf16

KERNEL = "sdpa"
"""transformers' name of torch's kernel; a checkpoint that asks for another kernel keeps that kernel, and padding."""

MAX_PRODUCT_TOKENS = 256
"""Tokens; longest text for which two products and a softmax in bf16 are faster than torch's kernel, on a CPU that
multiplies bf16.

Measured with MiniLM's heads: 452 against 675 µs for four texts of 64 tokens, 1236 against 1854 for one of 256. All
scores of the texts are in memory at once; torch's kernel holds a part of them.
"""


class Span(NamedTuple):
    """Texts of one length that follow each other in a row."""

    start: int
    """Position of the first text's first token."""
    length: int
    """Tokens of each text."""
    texts: int


class PackedRow(NamedTuple):
    """Positions of a batch's texts in one row, in the forms that attention on CPUs and on GPUs takes."""

    spans: list[Span]
    bounds: torch.Tensor
    """Position at which each text begins, and the end of the last one: shape (texts + 1,), int32."""
    longest: int
    """Tokens of the longest text."""

    def to(self, device: torch.device) -> PackedRow:
        """Return the row with its tensor on a device, as inputs of a model are moved."""
        return self._replace(bounds=self.bounds.to(device))


def pack_row(lengths: Sequence[int]) -> PackedRow:
    """Return a row of texts with these numbers of tokens."""
    # The GPU's kernel takes its bounds in int32 only.
    bounds = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32)
    return PackedRow(spans(lengths), bounds, max(lengths))


def spans(lengths: Sequence[int]) -> list[Span]:
    """Return the spans of a row of texts with these numbers of tokens."""
    row, start = [], 0
    for length, same in groupby(lengths):
        count = sum(1 for _ in same)
        row.append(Span(start, length, count))
        start += length * count
    return row


def positions_in_texts(lengths: Sequence[int]) -> torch.Tensor:
    """Return each token's position in its own text, counted from 0; shape (tokens,)."""
    counts = torch.tensor(lengths)
    starts = counts.cumsum(0) - counts
    return torch.arange(int(counts.sum())) - torch.repeat_interleave(starts, counts)


def within_texts(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    texts: Sequence[Span],
    *,
    scale: float | None,
    causal: bool,
) -> torch.Tensor:
    """Return attention within each text of a row.

    Args:
        query: shape (tokens, heads, head size), as is the result.
        key: same shape, or with fewer heads.
        value: as ``key``.
        texts: where texts stand in the row.
        scale: factor of the scores; None for 1 / sqrt(head size).
        causal: whether a token sees only those before it.
    """
    output = query.new_empty(query.shape)
    for start, length, count in texts:
        end = start + length * count
        shape = (count, length, -1, query.shape[2])
        q, k, v = (states[start:end].view(shape).transpose(1, 2) for states in (query, key, value))
        output[start:end] = attend(q, k, v, scale=scale, causal=causal).transpose(1, 2).flatten(0, 1)
    return output


def packed_attention(dtype: torch.dtype) -> str:
    """Return the attention's name in the facts of a model on a CPU while its batches have no padding."""
    products = f"products to {MAX_PRODUCT_TOKENS} tokens, " if products_pay(dtype) else ""
    return f"{products}{KERNEL}, packed"


def products_pay(dtype: torch.dtype) -> bool:
    """Whether two products and a softmax are faster than torch's kernel on this CPU, for short texts."""
    return dtype == torch.bfloat16 and multiplies_bf16()


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scale: float | None, causal: bool
) -> torch.Tensor:
    """Return scaled dot-product attention, by whichever way is faster for this length and number format.

    Args:
        query: shape (texts, heads, tokens, head size), as is the result.
        key: same shape, or with fewer heads.
        value: as ``key``.
        scale: factor of the scores; None for 1 / sqrt(head size).
        causal: whether a token sees only those before it.
    """
    if query.shape[2] <= MAX_PRODUCT_TOKENS and products_pay(query.dtype):
        return attend_by_products(query, key, value, scale=scale, causal=causal)
    return torch.nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        scale=scale,
        # A single token sees itself; without a mask torch may choose a faster kernel.
        is_causal=causal and query.shape[2] > 1,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def attend_by_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scale: float | None, causal: bool
) -> torch.Tensor:
    """Return attention by two products: scores are rounded to the number format, the softmax uses fp32.

    Arguments and result are those of ``attend``.
    """
    queries_per_key = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(queries_per_key, dim=1) if queries_per_key > 1 else x for x in (key, value))
    q, k, v = (x.flatten(0, 1) for x in (query, key, value))
    # Scaled inside the product, so that scores are rounded once.
    # With beta 0 torch ignores the first argument; bmm itself takes no factor.
    scores = torch.baddbmm(q.new_empty(()), q, k.transpose(1, 2), beta=0, alpha=scale or q.shape[2] ** -0.5)
    if causal:
        later = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill_(later, float("-inf"))
    return torch.bmm(torch.softmax(scores, dim=-1), v).view_as(query)


def within_texts_on_gpu(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, row: PackedRow, *, scale: float | None, causal: bool
) -> torch.Tensor:
    """Return attention within each text of a row; arguments and result are those of ``within_texts``.

    Raises:
        ImportError: this release of torch has no such kernel.
        RuntimeError: the kernel does not take this number format (16 bits are needed) or size of heads, or the GPU is
            too old for it.
    """
    from torch.nn.attention import varlen  # newer than the oldest torch that this package takes

    bounds, longest = row.bounds, row.longest
    output: torch.Tensor = varlen.varlen_attn(  # type: ignore[assignment]  # a tuple only where more is asked for
        query,
        key,
        value,
        bounds,
        bounds,
        longest,
        longest,
        scale=scale,
        window_size=(-1, 0 if causal else -1),  # tokens seen before and after each token; -1 for all
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return output
