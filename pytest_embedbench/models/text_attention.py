"""Attention within texts of one length, on a CPU."""

from __future__ import annotations

import torch

from pytest_embedbench.models.instructions import multiplies_bf16

SHORT = 256
"""Tokens up to which two products and a softmax in bf16 are faster than torch's kernel, where the CPU multiplies bf16.

Measured with MiniLM's heads: 452 against 675 µs for four texts of 64 tokens, 1236 against 1854 for one of 256. All
scores of the texts are in memory at once; torch's kernel holds a part of them.
"""


def attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scale: float | None, causal: bool
) -> torch.Tensor:
    """Scaled dot-product attention; of keys and values there may be fewer heads.

    Shapes are (texts, heads, tokens, size of a head). ``scale`` None is one over the root of that size.
    """
    if query.dtype == torch.bfloat16 and query.shape[2] <= SHORT and multiplies_bf16():
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
