"""Attention on a CPU among the texts of a batch that stand in one row: within each, those of one length together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import NamedTuple

import torch
from torch.nn.attention import varlen

from pytest_embedbench.machine.cpu import multiplies_bf16

KERNEL = "sdpa"
"""transformers' name of torch's kernel; a checkpoint that asks for another one keeps it, and padding."""

SHORT = 256
"""Tokens up to which two products and a softmax in bf16 are faster than torch's kernel, where the CPU multiplies bf16.

Measured with MiniLM's heads: 452 against 675 µs for four texts of 64 tokens, 1236 against 1854 for one of 256. All
scores of the texts are in memory at once; torch's kernel holds a part of them.
"""


class Span(NamedTuple):
    """Texts of one length that follow each other in a row."""

    start: int
    """The first one's first token."""
    length: int
    texts: int


class Row(NamedTuple):
    """The texts of a batch in one row: where they stand, for either kind of device."""

    spans: list[Span]
    bounds: torch.Tensor
    """Where each text begins, and where the last one ends: shape (texts + 1,), int32."""
    longest: int

    def to(self, device: torch.device) -> Row:
        return self._replace(bounds=self.bounds.to(device))


def row_of(lengths: Sequence[int]) -> Row:
    """A row of texts of these lengths."""
    bounds = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32)
    return Row(spans(lengths), bounds, max(lengths))


def spans(lengths: Sequence[int]) -> list[Span]:
    """Where the texts of these lengths stand."""
    found, start = [], 0
    for length, same in groupby(lengths):
        count = sum(1 for _ in same)
        found.append(Span(start, length, count))
        start += length * count
    return found


def places_within(lengths: Sequence[int]) -> torch.Tensor:
    """Of each token in a row, its place in its text, from 0; shape (tokens,)."""
    each = torch.tensor(lengths)
    starts = each.cumsum(0) - each
    return torch.arange(int(each.sum())) - torch.repeat_interleave(starts, each)


def within_texts(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    texts: Sequence[Span],
    *,
    scale: float | None,
    causal: bool,
) -> torch.Tensor:
    """Attention within each text of a row. Shapes are (tokens, heads, size of a head), as in ``attend``."""
    made = query.new_empty(query.shape)
    for start, length, count in texts:
        end = start + length * count
        shape = (count, length, -1, query.shape[2])
        q, k, v = (whole[start:end].view(shape).transpose(1, 2) for whole in (query, key, value))
        made[start:end] = attend(q, k, v, scale=scale, causal=causal).transpose(1, 2).flatten(0, 1)
    return made


def packed_attention(dtype: torch.dtype) -> str:
    """What the facts of a model say of its attention while it is without padding."""
    products = f"products to {SHORT} tokens, " if products_pay(dtype) else ""
    return f"{products}{KERNEL}, packed"


def products_pay(dtype: torch.dtype) -> bool:
    """Are two products and a softmax faster than the kernel on this CPU, for short texts?"""
    return dtype == torch.bfloat16 and multiplies_bf16()


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scale: float | None, causal: bool
) -> torch.Tensor:
    """Scaled dot-product attention; of keys and values there may be fewer heads.

    Shapes are (texts, heads, tokens, size of a head). ``scale`` None is one over the root of that size.
    """
    if query.shape[2] <= SHORT and products_pay(query.dtype):
        return by_products(query, key, value, scale=scale, causal=causal)
    return torch.nn.functional.scaled_dot_product_attention(
        query,
        key,
        value,
        scale=scale,
        is_causal=causal and query.shape[2] > 1,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def by_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scale: float | None, causal: bool
) -> torch.Tensor:
    """The same, written out: scores are rounded to the number format, the softmax computes in fp32."""
    shared = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(shared, dim=1) if shared > 1 else x for x in (key, value))
    q, k, v = (x.flatten(0, 1) for x in (query, key, value))
    # Scaled inside the product, so that they are rounded once.
    scores = torch.baddbmm(q.new_empty(()), q, k.transpose(1, 2), beta=0, alpha=scale or q.shape[2] ** -0.5)
    if causal:
        later = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill_(later, float("-inf"))
    return torch.bmm(torch.softmax(scores, dim=-1), v).view_as(query)


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
