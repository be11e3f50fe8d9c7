"""Inequalities between measures that every ranking obeys.

Notation: d(i) = 1/log2(i+1) is the discount of rank i, D_k = d(1) + ... + d(k). Measures are trec_eval's: nDCG with
linear gains and the ideal over all judgments, AP@k divided by all R relevant documents, R >= 1, RR of the run cut at k.
Each inequality holds for one query and is linear, so it holds for means over one set of queries. A query without a
relevant document in its first k ranks scores 0 on every measure; the proofs are about all other queries, with the first
relevant document at rank r, so that RR = 1/r.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import accumulate, combinations
from math import inf, log2
from typing import NamedTuple

from pytest_embedbench.core.measures import Measure
from pytest_embedbench.plausibility.rows import ReportedValue

ReportedScores = Mapping[Measure, ReportedValue]


def discount(rank: int) -> float:
    """Return d(rank), the weight of a gain at this rank (Järvelin & Kekäläinen 2002, base 2)."""
    return 1 / log2(rank + 1)


@cache
def discounts(k: int) -> tuple[float, ...]:
    """Return D_0 = 0, D_1, ..., D_k."""
    return tuple(accumulate((discount(rank) for rank in range(1, k + 1)), initial=0.0))


@cache
def ndcg_over_rr(k: int) -> float:
    """Return the smallest c with nDCG@k <= c RR@k for any non-negative gains.

    Let m gains h_1 >= ... >= h_m > 0 stand at rank r and below. Then DCG <= sum h_i d(r+i-1) and the ideal is at
    least sum h_i d(i). By Abel summation both are combinations, with weights h_i - h_{i+1} >= 0, of the step vectors
    (1, ..., 1, 0, ...), so their ratio is at most that of one step vector: (D_{r+m-1} - D_{r-1}) / D_m. As
    d(r+i-1)/d(i) rises with i, the longest step, m = k+1-r, is the worst. Divide by RR = 1/r and take the worst r.
    Attained by a binary ranking with k+1-r relevant documents at ranks r to k.
    """
    total = discounts(k)
    return max(r * (total[k] - total[r - 1]) / total[k + 1 - r] for r in range(1, k + 1))


@cache
def ap_over_rr(k: int) -> float:
    """Return the smallest c with AP@k <= c RR@k.

    With m hits from rank r on, AP <= (1/m) sum_j j/(r+j-1): hits stand as high as they can, and R >= m. The terms
    rise with j, so their mean is greatest for m = k+1-r. Divide by 1/r and take the worst r. The sum of
    j/(r+j-1) = 1 - (r-1)/(r+j-1) is m - (r-1) (H_k - H_{r-1}), where H_n = 1 + 1/2 + ... + 1/n.
    """
    harmonic = tuple(accumulate((1 / n for n in range(1, k + 1)), initial=0.0))
    return max(r * (1 - (r - 1) * (harmonic[k] - harmonic[r - 1]) / (k + 1 - r)) for r in range(1, k + 1))


def precision_over_rr(k: int) -> float:
    """Return the smallest c with P@k <= c RR@k: at most k+1-r hits from rank r on, divided by k, over 1/r."""
    return max(r * (k + 1 - r) / k for r in range(1, k + 1))


class Bound(NamedTuple):
    """The inequality ``left <= factor * right + offset``."""

    left: Measure
    factor: float
    right: Measure
    offset: float = 0.0

    def violated(self, scores: ReportedScores) -> bool:
        """Whether the inequality fails for all numbers that round to the printed ones."""
        return scores[self.left].low > self.factor * scores[self.right].high + self.offset

    def covers(self, other: Bound) -> bool:
        """Whether both are between cuts of one family, and the other's cuts lie within these."""
        if {self.left.family, self.right.family, other.left.family, other.right.family} != {self.left.family}:
            return False
        (low, high), (inner_low, inner_high) = (
            sorted((self.left.k, self.right.k)),
            sorted((other.left.k, other.right.k)),
        )
        return low <= inner_low and inner_high <= high

    def limit(self, scores: ReportedScores) -> float:
        """Return the right side with the numbers as printed."""
        return self.factor * scores[self.right].value + self.offset

    def __str__(self) -> str:
        factor = "" if self.factor == 1 else f"{self.factor:.6g} "
        return f"{self.left} <= {factor}{self.right}" + (f" + {self.offset:.6g}" if self.offset else "")


Factor = Callable[[int], float]

AP_BELOW_NDCG = 100
"""Largest k for which AP@k <= nDCG@k is used; the proof covers every k up to it, see ``BINARY``."""

GRADED: tuple[tuple[str, str, Factor], ...] = (
    ("ndcg", "mrr", ndcg_over_rr),
    ("map", "mrr", ap_over_rr),
    ("precision", "mrr", precision_over_rr),
    ("recall", "mrr", float),  # recall <= 1, and RR >= 1/k on a hit
    ("map", "recall", lambda _: 1.0),  # a hit adds its precision / R, at most 1/R
    ("recall", "map", float),  # and at least 1/k of that
    ("recall", "precision", float),  # hits/R <= hits, as R >= 1
)
"""(left, right, factor) with left@k <= factor(k) right@k for any non-negative gains."""

BINARY: tuple[tuple[str, str, Factor], ...] = (
    # R = m hits are the worst case, and then this says sum_j d(r_j) - (D_m/m) j/r_j >= 0: a sum over the hits that a
    # dynamic program minimizes exactly. It holds for every k up to 100 and fails for k = 1000, see tests.
    ("map", "ndcg", lambda k: 1.0 if k <= AP_BELOW_NDCG else inf),
    # nDCG >= d(r)/D_k, and d(r)/D_k : 1/r is least at r = 1.
    ("mrr", "ndcg", lambda k: discounts(k)[k]),
    # With m hits nDCG >= m d(k) / D_min(R,k) >= m d(k) / R, which is d(k) times the recall.
    ("recall", "ndcg", lambda k: 1 / discount(k)),
    # And nDCG >= m d(k) / D_k, where m = k P@k.
    ("precision", "ndcg", lambda k: discounts(k)[k] / (k * discount(k))),
)
"""As ``GRADED``, but valid only if all relevant documents have the same grade."""

GROWING = ("map", "mrr", "recall")
"""Families whose values never fall as k grows, since they are nested sums."""

PRECISION_AT_1 = Measure("precision", 1)


def graded_bounds(scores: ReportedScores) -> Iterator[Bound]:
    """Yield the inequalities between these measures that hold for any grades."""
    yield from _by_family(scores, GRADED)
    yield from _by_cut(scores)
    yield from _at_the_top(scores)


def binary_bounds(scores: ReportedScores) -> Iterator[Bound]:
    """Yield the further inequalities that hold if every relevant document has the same grade."""
    yield from _by_family(scores, BINARY)


def _by_family(scores: ReportedScores, table: tuple[tuple[str, str, Factor], ...]) -> Iterator[Bound]:
    for left_family, right_family, factor in table:
        for left in _cuts(scores, left_family):
            if right := _right(scores, right_family, left.k):
                yield Bound(left, factor(left.k), right)


def _right(scores: ReportedScores, family: str, k: int) -> Measure | None:
    """Return the measure on the right side: the one at cut k or, in a growing family, at the next larger cut.

    RR@1 is left out: programs that break ties in two ways within one row are common (4.8% of MTEB's rows differ in P@1
    and RR@1), and the check of the first rank reports that on its own.
    """
    if family in GROWING:
        least = max(k, 2) if family == "mrr" else k
        return next((measure for measure in _cuts(scores, family) if measure.k >= least), None)
    same = Measure(family, k)
    return same if same in scores else None


def _by_cut(scores: ReportedScores) -> Iterator[Bound]:
    """Yield the inequalities within one family at two cuts, j < k.

    nDCG@j <= D_k/D_j nDCG@k: the gain sum grows, and the ideal at most from D_j to D_k (all gains equal).
    nDCG@k <= nDCG@j + (D_k - D_j)/D_{k-j}: the ideal grows, and by the argument of ``ndcg_over_rr`` the k-j documents
    at ranks j+1 to k add at most that share of it. k P@k counts hits, so it never falls as k grows.

    All pairs, not only neighbours: rounding adds up over a chain of neighbours, and the second inequality is tighter
    from 1 to 5 than from 1 to 3 and then to 5. Neighbours come first.
    """
    for family in GROWING:
        for low, high in _pairs(scores, family):
            yield Bound(low, 1.0, high)
    for low, high in _pairs(scores, "precision"):
        yield Bound(low, high.k / low.k, high)
    for low, high in _pairs(scores, "ndcg"):
        total = discounts(high.k)
        yield Bound(low, total[high.k] / total[low.k], high)
        yield Bound(high, 1.0, low, (total[high.k] - total[low.k]) / total[high.k - low.k])


def _at_the_top(scores: ReportedScores) -> Iterator[Bound]:
    """Yield the inequalities between P@1 and other measures.

    nDCG@1 <= P@1, since a relevant first document gains at most the ideal. RR@k <= (1 + P@1)/2, since RR <= 1/2 where
    the first document is not relevant. (P@1 <= RR@k is in ``GRADED``.)
    """
    if PRECISION_AT_1 in scores:
        if (top := Measure("ndcg", 1)) in scores:
            yield Bound(top, 1.0, PRECISION_AT_1)
        # RR@1 equals P@1, which ``check`` tests on its own.
        for reciprocal in _cuts(scores, "mrr"):
            if reciprocal.k > 1:
                yield Bound(reciprocal, 0.5, PRECISION_AT_1, 0.5)


def _pairs(scores: ReportedScores, family: str) -> list[tuple[Measure, Measure]]:
    """Return all pairs of cuts of a family, nearest ones (in the order of the cuts) first."""
    cuts = _cuts(scores, family)
    return sorted(combinations(cuts, 2), key=lambda pair: cuts.index(pair[1]) - cuts.index(pair[0]))


def _cuts(scores: ReportedScores, family: str) -> list[Measure]:
    return sorted(measure for measure in scores if measure.family == family)
