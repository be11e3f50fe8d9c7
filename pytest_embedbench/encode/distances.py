"""Distance of two vectors of one text, which should be equal up to rounding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_embedbench.models.protocol import Vectors


def apart(first: Vectors, second: Vectors) -> NDArray[np.float64]:
    """Return the distances of the vectors in the same row, shape (rows,).

    The distance is |a - b|^2 / (2 |a| |b|): 1 - cosine for vectors of equal length, and more where lengths differ too.
    Two vectors of zeros are 0 apart. One of zeros, or one that is not finite, is infinitely far from any other.
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        squares = ((a - b) ** 2).sum(axis=1)
        scale = 2 * np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        distances = np.where(squares == 0, 0.0, squares / scale)
    return np.asarray(np.nan_to_num(distances, nan=np.inf, posinf=np.inf), dtype=np.float64)
