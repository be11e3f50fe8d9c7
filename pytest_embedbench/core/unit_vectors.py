"""Arithmetic on vectors that encoding and probes share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_NORM = 1e-12
"""Length; the divisor of shorter vectors, as in ``torch.nn.functional.normalize``: a vector of zeros stays one."""


def unit_vectors(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the rows divided by their length, in their own number format; shape (vectors, dimensions)."""
    import numpy as np

    # As float32, since float16 would round the bound to 0.
    norms = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(MIN_NORM))
    unit: NDArray[np.floating] = vectors / norms
    return unit
