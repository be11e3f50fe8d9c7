"""Compare vectors that were computed in two ways, and keep the faster way where they agree up to rounding."""

from __future__ import annotations

from collections.abc import Callable

import torch

MAX_ROUNDING = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""Share of the largest number of the expected vectors, by number format; numbers further apart differ by more than
rounding."""


def agree(compute: Callable[[], torch.Tensor], expected: torch.Tensor) -> bool:
    """Whether both agree up to rounding; False if computing them fails.

    Args:
        compute: makes the vectors, shape (texts, dimensions).
        expected: vectors of the same texts, same shape, computed in the model's own way.
    """
    try:
        vectors = compute()
    except Exception:  # noqa: BLE001 - whatever a model raises on inputs that it does not know
        return False
    difference = (vectors.float() - expected.float()).abs().max() / expected.float().abs().max()
    # NaN compares as False, so broken vectors never agree.
    return bool(difference < MAX_ROUNDING[expected.dtype])


def fuse_if_same(
    switch: Callable[[bool], None], compute: Callable[[], torch.Tensor], expected: torch.Tensor, *, pays: bool
) -> bool:
    """Switch to fused layers where that pays, and back to unfused ones where fused layers change vectors.

    Args:
        switch: turns fused layers on (True) or off.
        compute: makes the vectors with the layers as they are switched, shape (texts, dimensions).
        expected: vectors of the same texts, same shape, computed in the model's own way.
        pays: whether fused layers are faster here.

    Returns:
        False if the unfused layers change the vectors too.
    """
    # Also with the unfused layers, since ``compute`` may differ from the model's own way in more than the layers.
    for fused in (True, False) if pays else (False,):
        switch(fused)
        if agree(compute, expected):
            return True
    return False
