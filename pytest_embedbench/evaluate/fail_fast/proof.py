"""Failure proven before the whole corpus is encoded: upper bounds of the means against the limits.

This module neither encodes nor orders documents: it receives scores and tells what they prove. The proofs hold for
models whose score of a document does not depend on the other documents, and so not for BM25.

**Exactness.** The bounds are those of ``bounds`` for the scores pushed, in trec_eval's order. They hold for the final
ranking if that is made of the same scores. Where the final scores may differ in their last bits (the same texts
encoded in other batches, or multiplied in other blocks), give a ``tolerance`` above the largest difference: scores
within twice that of each other then count in the metric's favour. With ``g`` numbering the grades upwards, 0 for not
relevant, we rank by ``score + 2 x tolerance x g``. If a document finally ranks before one of a lower grade, it does
so here too; so our order comes from the final one by moving higher grades before lower ones, and no measure here
falls by that, wherever unseen documents stand in between. (Exact ties of not relevant with relevant documents are
then unproven as well: a model that gives every text the same vector is only found out at the end.)

Sums are rounded differently here and in trec_eval, by some 1e-15; ``SUM_ROUNDING`` is far above that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.evaluate.fail_fast.bounds import KnownGains, upper_bounds
from pytest_embedbench.evaluate.fail_fast.judgment_arrays import JudgmentArrays
from pytest_embedbench.evaluate.search import best, tie_ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_embedbench.core.measures import Measure
    from pytest_embedbench.core.thresholds import Limit
    from pytest_embedbench.datasets.types import Dataset

    Integers = NDArray[np.int64]

SUM_ROUNDING = 1e-9
"""Score; a bound must miss its limit by more than this."""


@dataclass(frozen=True)
class Failure:
    """A limit that cannot be kept any more: the mean of ``limit.subject`` will be at most ``bound``."""

    limit: Limit
    bound: float
    share: float
    """Share of the corpus (documents) that proved it."""

    def __str__(self) -> str:
        return f"{self.limit.subject} <= {self.bound:.4f} after {self.share:.0%} of the corpus"


def lower_limits(limits: Sequence[Limit]) -> list[Limit]:
    """Return the limits that an upper bound can prove missed: ``>=`` and ``>``."""
    return [limit for limit in limits if limit.op in {">=", ">"}]


def depth(limits: Sequence[Limit]) -> int:
    """Return the number of documents of each query that decide these limits, at least 1."""
    return max((parse_measure(limit.subject).k for limit in limits), default=1)


def mean_bounds(limits: Sequence[Limit], known: KnownGains) -> dict[Measure, float]:
    """Return an upper bound of the mean over all queries for each measure of the limits; empty without queries."""
    measures = dict.fromkeys(parse_measure(limit.subject) for limit in limits)
    return {measure: float(upper_bounds(measure, known).mean()) for measure in measures if len(known.relevant)}


def missed(limits: Sequence[Limit], bounds: Mapping[Measure, float]) -> Limit | None:
    """Return the first limit that even the bound does not keep, by more than rounding."""
    for limit in limits:
        bound = bounds.get(parse_measure(limit.subject))
        if bound is not None and not limit.holds(bound + SUM_ROUNDING):
            return limit
    return None


class Outlook(NamedTuple):
    """Two shares of the corpus's documents, known before anything is encoded.

    ``relevant``: judged relevant to some query. ``soonest``: must be seen before a limit can be proven missed, whatever
    the model; None if no limit can be proven missed.
    """

    relevant: float
    soonest: float | None

    def __str__(self) -> str:
        relevant = f"{self.relevant:.0%} of the documents are judged relevant to some query"
        if self.soonest is None:
            return f"{relevant}; no failure can be proven early"
        return f"{relevant}; a failure cannot be proven before about {self.soonest:.0%} of the corpus are encoded"


def outlook(dataset: Dataset, limits: Sequence[Limit], order: Integers) -> Outlook:
    """Look ahead along an order of encoding (positions in ``dataset.doc_ids``).

    A proof comes soonest for a model that ranks every relevant document behind all others: its bound is the value that
    the unseen relevant documents can still reach. Bisection finds that point, since the bound only falls.
    """
    judged = JudgmentArrays(dataset)
    relevant = len(np.unique(judged.docs)) / max(1, judged.documents)
    limits = lower_limits(limits)
    # The inverse of ``order``: for each document the number of documents encoded before it.
    step = np.empty(len(order), dtype=np.int64)
    step[order] = np.arange(len(order))
    nothing = np.zeros((len(judged.relevant), 0), dtype=np.int64)

    def provable(seen: int) -> bool:
        unseen = judged.best_first(step[judged.docs] >= seen, depth(limits))
        return (
            missed(limits, mean_bounds(limits, KnownGains(nothing, unseen, judged.ideal, judged.relevant))) is not None
        )

    if not provable(len(order)):
        return Outlook(relevant, None)
    return Outlook(relevant, bisect_left(range(len(order)), x=True, key=provable) / len(order))


class FailureProver:
    """Receives documents' scores as they come, and tells which limits can no longer be kept.

    Args:
        dataset: gives the corpus, the judged queries and the judgments.
        limits: quality limits, e.g. ``ndcg@10 >= 0.31``. Only lower limits (``>=``, ``>``) can be proven missed.
        tolerance: the largest difference of a final score from the one pushed; see the module's text.
    """

    def __init__(self, dataset: Dataset, limits: Sequence[Limit], *, tolerance: float = 0.0) -> None:
        self._judged = JudgmentArrays(dataset)
        self.limits = lower_limits(limits)
        self._depth = depth(self.limits)
        self._tie_rank = tie_ranks(dataset.doc_ids)
        position = {doc: index for index, doc in enumerate(dataset.doc_ids)} if dataset.drop_self else {}
        self._own = np.array([position.get(query, -1) for query in dataset.judged_queries], dtype=np.int64)
        # Grades are numbered upwards; each step lifts a score by twice the tolerance.
        levels = np.unique(self._judged.grades, return_inverse=True)[1]
        self._lift = 2 * tolerance * (levels + 1.0)
        self._seen = np.zeros(len(dataset.doc_ids), dtype=bool)
        self._unseen = np.ones(len(self._judged.docs), dtype=bool)
        self._scores = np.empty((len(self._own), 0))
        self._docs = np.empty((len(self._own), 0), dtype=np.int64)

    @property
    def share(self) -> float:
        """Share of the corpus (documents) seen."""
        return float(self._seen.mean())

    def push(self, docs: Sequence[int] | Integers, scores: NDArray[np.floating]) -> None:
        """Take scores of documents; each document comes once.

        Args:
            docs: positions in ``dataset.doc_ids``, in any order; equal texts are separate documents.
            scores: shape (judged queries, documents), in the order of ``judged_queries``.
        """
        new = np.asarray(docs, dtype=np.int64)
        keys = scores.astype(np.float64)
        entries, indices = self._judged.entries_of(new)
        keys[self._judged.rows[entries], indices] += self._lift[entries]
        # A query that is a document of the corpus is not ranked for itself.
        keys[new == self._own[:, None]] = -np.inf
        self._seen[new] = True
        self._unseen[entries] = False
        self._scores, self._docs = best(
            np.concatenate([self._scores, keys], axis=1),
            np.concatenate([self._docs, np.broadcast_to(new, keys.shape)], axis=1),
            self._tie_rank,
            self._depth,
        )

    def known(self) -> KnownGains:
        """Return the gains of the judged queries that are known now."""
        judged = self._judged
        # -inf marks padding and the query's own document, which earn nothing.
        seen = np.where(np.isneginf(self._scores), 0, judged.gains(self._docs))
        return KnownGains(seen, judged.best_first(self._unseen, self._depth), judged.ideal, judged.relevant)

    def bounds(self) -> dict[Measure, float]:
        """Return an upper bound of each measure's mean over the judged queries; empty if no query is judged."""
        return mean_bounds(self.limits, self.known())

    def gap(self, bounds: Mapping[Measure, float]) -> float:
        """Return the distance of the bound nearest to its limit above that limit; infinite without limits."""
        gaps = [bounds[parse_measure(limit.subject)] - limit.bound for limit in self.limits if bounds]
        return min(gaps, default=float("inf"))

    def proven(self, bounds: Mapping[Measure, float] | None = None) -> Failure | None:
        """Return the first limit that cannot be kept, whatever the unseen documents are; None if there is none."""
        current = self.bounds() if bounds is None else bounds
        limit = missed(self.limits, current)
        if limit is None:
            return None
        return Failure(limit=limit, bound=current[parse_measure(limit.subject)], share=self.share)
