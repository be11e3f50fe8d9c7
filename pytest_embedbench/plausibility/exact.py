"""The exact test for binary judgments: is there any set of queries with these means of nDCG@k, AP@k and RR@k?

The means that can be reached are the convex hull of what single queries can reach. These are finitely many points:
which of the first k ranks are hits (2^k patterns), and R, the number of relevant documents. For R > k the ideal of
nDCG@k stays as it is and AP, which divides by R, shrinks, so all R from k to infinity lie on one segment: its two ends
are enough. Of thousands of points few are corners of the hull (17 for k = 10). "Which RR do this nDCG and this AP
allow?" is a linear program over the weights of the corners.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from pytest_embedbench.plausibility.inequalities import discount, discounts
from pytest_embedbench.plausibility.rows import Value

if TYPE_CHECKING:
    import numpy as np

CUTS = range(3, 11)
"""Below, the hull is flat; above, the number of patterns (it doubles with each rank) is too large."""

TOLERANCE = 1e-6
"""Constraints are widened by this much: ten times what the solver calls feasible."""

INFEASIBLE = 2
"""scipy's status of a program without a solution."""


class Range(NamedTuple):
    """Lowest and highest reachable value."""

    low: float
    high: float


@cache
def corners(k: int) -> np.ndarray:
    """Rows nDCG@k, AP@k and RR@k of the single queries whose hull is all that is reachable; shape (3, corners).

    Raises:
        ValueError: ``k`` is not one of ``CUTS``.
    """
    import numpy as np
    from scipy.spatial import ConvexHull

    if k not in CUTS:
        raise ValueError(f"the exact test is for cuts from {CUTS[0]} to {CUTS[-1]}, not {k}")
    total = discounts(k)
    found = {(0.0, 0.0, 0.0)}
    for pattern in range(1, 2**k):
        hits = [rank for rank in range(1, k + 1) if pattern >> (rank - 1) & 1]
        gain = sum(discount(rank) for rank in hits)
        precisions = sum(number / rank for number, rank in enumerate(hits, 1))
        for relevant in range(len(hits), k + 1):
            found.add((gain / total[relevant], precisions / relevant, 1 / hits[0]))
        found.add((gain / total[k], 0.0, 1 / hits[0]))  # R without end
    points = np.array(sorted(found))
    return points[ConvexHull(points).vertices].T


def rr_range(k: int, ndcg: Value, ap: Value) -> Range | None:
    """The lowest and highest mean RR@k that these means of nDCG@k and AP@k allow; None: they exclude each other."""
    import numpy as np
    from scipy.optimize import linprog

    gains, precisions, reciprocals = corners(k)
    table = np.array([gains, -gains, precisions, -precisions])
    limits = np.array([ndcg.high, -ndcg.low, ap.high, -ap.low]) + TOLERANCE
    ends = []
    for sign in (1, -1):
        solved = linprog(
            sign * reciprocals, table, limits, np.ones((1, len(gains))), [1.0], bounds=(0, None), method="highs"
        )
        if solved.status == INFEASIBLE:
            return None
        if solved.fun is None:
            return Range(0.0, 1.0)  # a solver that gave up says nothing
        ends.append(sign * float(solved.fun))
    return Range(*ends)
