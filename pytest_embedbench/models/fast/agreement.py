"""Are vectors that were computed in two ways the same, but for rounding?"""

from __future__ import annotations

from collections.abc import Callable

import torch

APART = {torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 1e-1}
"""How far numbers of a vector may be apart, as a share of the largest: rounding, not more."""


def near(vectors: Callable[[], torch.Tensor], expected: torch.Tensor) -> bool:
    """Are these the vectors, but for rounding? Not if there are none."""
    try:
        found = vectors()
    except Exception:  # noqa: BLE001 - whatever a model raises on inputs that it does not know
        return False
    apart = (found.float() - expected.float()).abs().max() / expected.float().abs().max()
    return bool(apart < APART[expected.dtype])


def settled(
    switch: Callable[[bool], None], vectors: Callable[[], torch.Tensor], expected: torch.Tensor, *, pays: bool
) -> bool:
    """Switch to fused layers where that pays, to others where that changes vectors. False: so do the others."""
    for fused in (True, False) if pays else (False,):
        switch(fused)
        if near(vectors, expected):
            return True
    return False
