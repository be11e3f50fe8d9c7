"""Upper bounds of a measure's final value while part of the corpus is still unseen.

**Known facts.** The *seen* documents of a query keep their present order in the final ranking, since a document's score
does not depend on the others. An unseen document may take any rank. So the largest value over all ways to interleave
the unseen documents with the seen ones is an upper bound of the final value, and the tightest that these facts allow.
Each document that becomes seen removes possibilities and adds none, so the bound never rises; when all are seen it is
the value.

**Unseen documents that are not relevant** are best left behind all others: taking one out moves what follows it up by
one rank, and no measure here falls when documents move up.

**Measures of grades (nDCG)** need a search. Let ``s_1, s_2, ...`` be the gains of the seen documents in their order and
``v_1 >= v_2 >= ...`` those of the unseen relevant ones. Two unseen documents may swap places, and the larger gain
earns more in front, so they come in the order of ``v``. What is left to choose for each rank ``p = 1..k`` is whether it
takes the next seen or the next unseen document; with ``best(p, j)`` the largest sum of discounted gains of the first
``p`` ranks when ``j`` of them hold unseen documents::

    best(p, j) = max(best(p-1, j) + s_{p-j} d(p),  best(p-1, j-1) + v_j d(p)),   d(p) = 1 / log2(p + 1)

and the bound is the largest ``best(k, .)`` over the ideal sum. "Unseen first" is not a bound: seen (3), unseen (1) with
ideal 3 d(1) + 1 d(2) is worth 1 as it stands and less with the unseen document in front.

**Measures of relevance alone (MAP, MRR, recall, precision)**: all unseen relevant documents first is best. Let ``u``
be their number, ``t_j`` the rank of the j-th relevant document among the seen ones and ``r_i`` the rank of the i-th
relevant document of an interleaving. Of the first ``i`` relevant ones at most ``u`` are unseen, so at least ``i - u``
are seen; the ``t_{i-u} - (i - u)`` documents that are seen, not relevant and before the ``(i-u)``-th of them stand
before the i-th as well, hence ``r_i >= i + t_{i-u} - (i - u) = u + t_{i-u}``, and ``r_i >= i`` for ``i <= u``.
Unseen-first attains all of these at once, and each measure falls or stays when an ``r_i`` grows.

Definitions of the measures are trec_eval's (see ``metrics``): linear gains, the ideal over all judgments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_embedbench.core.measures import Measure

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]


class KnownGains(NamedTuple):
    """Known gains of some queries, one row each.

    ``seen``: gains of the seen documents in ranking order, shape (queries, at least k), zero for those not relevant and
    as padding. ``unseen``: gains of the unseen relevant documents, descending, shape (queries, any width),
    padded with zeros. ``ideal``: gains of all judged documents, descending, padded likewise; it also
    counts judged documents that are not in the corpus. ``relevant``: number of documents judged relevant, at least 1.
    """

    seen: Integers
    unseen: Integers
    ideal: Integers
    relevant: Integers


def upper_bounds(measure: Measure, known: KnownGains) -> Floats:
    """Return the largest value that each query can still reach, shape (queries,); exact up to the rounding of a sum."""
    k = measure.k
    if measure.family == "ndcg":
        return best_interleaving(known.seen, known.unseen, k) / discounted(known.ideal, k)
    hits = np.concatenate([known.unseen > 0, known.seen > 0], axis=1)
    # Stable, so that each row is its unseen relevant documents and then the seen ones, without padding between.
    absent = np.zeros_like(hits)
    absent[:, : known.unseen.shape[1]] = known.unseen == 0
    hits = np.take_along_axis(hits, np.argsort(absent, axis=1, kind="stable"), axis=1)[:, :k]
    ranks = np.arange(1, hits.shape[1] + 1)
    match measure.family:
        case "map":
            values = (hits * np.cumsum(hits, axis=1) / ranks).sum(axis=1) / known.relevant
        case "mrr":
            values = (hits / ranks).max(axis=1, initial=0.0)
        case "recall":
            values = hits.sum(axis=1) / known.relevant
        case "precision":
            values = hits.sum(axis=1) / k
        case _:
            raise ValueError(f"no bound is known for {measure}")
    return np.asarray(values, dtype=np.float64)


def discounts(k: int) -> Floats:
    """Return ``1 / log2(rank + 1)`` for the ranks 1 to k, trec_eval's discounts."""
    return np.asarray(1 / np.log2(np.arange(2, k + 2)), dtype=np.float64)


def discounted(gains: Integers, k: int) -> Floats:
    """Return the sum of the first k gains of each row, discounted by rank; shape (rows,)."""
    gains = gains[:, :k]
    return np.asarray(gains @ discounts(gains.shape[1]), dtype=np.float64)


def best_interleaving(seen: Integers, unseen: Integers, k: int) -> Floats:
    """Return the largest discounted sum of k ranks over all interleavings of two rows of gains; shape (rows,).

    Each row keeps its own order. The recurrence is the one in the module's text; it takes O(k x min(k, width of
    unseen)) steps for each row.
    """
    rows, insertable = len(unseen), min(unseen.shape[1], k)
    # Backwards, with a zero behind, so that the (p-j)-th gains for j = 0, 1, ..., p are neighbours.
    backwards = np.zeros((rows, k + 1))
    backwards[:, k - min(k, seen.shape[1]) : k] = seen[:, :k][:, ::-1]
    best = np.full((rows, insertable + 1), -np.inf)  # by number of unseen placed; -inf where there are fewer ranks
    best[:, 0] = 0.0
    for p, discount in enumerate(discounts(k), 1):
        most = min(p, insertable)
        take_seen = best[:, : most + 1] + discount * backwards[:, k - p : k - p + most + 1]
        take_unseen = best[:, :most] + discount * unseen[:, :most]
        # Both sums start from the table of p - 1 ranks, so ``best`` may be overwritten only now.
        best[:, : most + 1] = take_seen
        np.maximum(best[:, 1 : most + 1], take_unseen, out=best[:, 1 : most + 1])
    return np.asarray(best.max(axis=1), dtype=np.float64)
