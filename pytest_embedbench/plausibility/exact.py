"""Test exactly, for binary judgments, whether any set of queries can have these means of nDCG@k, AP@k and RR@k.

The reachable means are the convex hull of the points that single queries can reach. There are finitely many such
points: which of the first k ranks are hits (2^k patterns), and R, the number of relevant documents. For R > k the
ideal of nDCG@k is constant while AP, which divides by R, shrinks, so all R from k to infinity lie on one segment, and
its two ends suffice. Of thousands of points few are corners of the hull (17 for k = 10). The range of RR that an nDCG
and an AP allow is then a linear program over the weights of the corners.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from pytest_embedbench.plausibility.inequalities import discount, discounts
from pytest_embedbench.plausibility.rows import ReportedValue

if TYPE_CHECKING:
    import numpy as np

EXACT_CUTS = range(3, 11)
"""Cuts k that can be tested: below 3 the hull is flat, above 10 there are too many patterns (2^k)."""

SOLVER_TOLERANCE = 1e-6
"""Widening of each constraint: ten times the solver's own tolerance, so that its rounding excludes no real ranking."""

INFEASIBLE = 2
"""Status that scipy gives to a program without a solution."""


class Range(NamedTuple):
    """Lowest and highest reachable value."""

    low: float
    high: float


@cache
def corners(k: int) -> np.ndarray:
    """Return the corners of the hull of reachable means; shape (3, corners), rows nDCG@k, AP@k and RR@k.

    Raises:
        ValueError: ``k`` is not one of ``EXACT_CUTS``.
    """
    # Imported here: scipy is slow to import, and only rows with all three measures at one cut need it.
    import numpy as np
    from scipy.spatial import ConvexHull

    if k not in EXACT_CUTS:
        raise ValueError(f"the exact test is for cuts from {EXACT_CUTS[0]} to {EXACT_CUTS[-1]}, not {k}")
    total = discounts(k)
    reachable = {(0.0, 0.0, 0.0)}  # a query without a hit
    for pattern in range(1, 2**k):
        hits = [rank for rank in range(1, k + 1) if pattern >> (rank - 1) & 1]
        gain = sum(discount(rank) for rank in hits)
        precisions = sum(number / rank for number, rank in enumerate(hits, 1))
        # R is at least the number of hits; beyond k only the segment to the limit below remains.
        for relevant in range(len(hits), k + 1):
            reachable.add((gain / total[relevant], precisions / relevant, 1 / hits[0]))
        reachable.add((gain / total[k], 0.0, 1 / hits[0]))  # the limit of R to infinity
    points = np.array(sorted(reachable))
    return points[ConvexHull(points).vertices].T


def rr_range(k: int, ndcg: ReportedValue, ap: ReportedValue) -> Range | None:
    """Return the range of mean RR@k that these means of nDCG@k and AP@k allow; None if they exclude each other."""
    import numpy as np
    from scipy.optimize import linprog

    gains, precisions, reciprocals = corners(k)
    # Unknowns are the weights of the corners: not negative, and 1 in sum. Their means must lie in both printed ranges.
    table = np.array([gains, -gains, precisions, -precisions])
    limits = np.array([ndcg.high, -ndcg.low, ap.high, -ap.low]) + SOLVER_TOLERANCE
    ends = []
    for sign in (1, -1):  # linprog minimizes; the maximum is the negated minimum of the negated objective
        solved = linprog(
            sign * reciprocals, table, limits, np.ones((1, len(gains))), [1.0], bounds=(0, None), method="highs"
        )
        if solved.status == INFEASIBLE:
            return None
        if solved.fun is None:
            return Range(0.0, 1.0)  # the solver gave up: nothing can be excluded
        ends.append(sign * float(solved.fun))
    return Range(*ends)
