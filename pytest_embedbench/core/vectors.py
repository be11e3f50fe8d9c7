"""Arithmetic on vectors that encoding and probes share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST_NORM = np.float32(1e-12)
"""Length; the divisor of shorter vectors, as in ``torch.nn.functional.normalize``: a vector of zeros stays one."""


def unit_vectors(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the rows divided by their length, in their own number format; shape (vectors, dimensions)."""
    unit: NDArray[np.floating] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), SMALLEST_NORM)
    return unit
