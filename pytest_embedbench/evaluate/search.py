"""Exact search: corpus vectors stream past the queries in blocks, a running top-k is kept.

Memory is O(queries x k) and one block of scores, whatever the corpus. The order is trec_eval's: score
descending, ties by descending document id, also at the cut. Equal texts are one vector, so that their scores tie
exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from pytest_embedbench.core.runs import Run
from pytest_embedbench.core.similarity import Scorer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_embedbench.core.measures import Measure
    from pytest_embedbench.core.similarity import Similarity
    from pytest_embedbench.models.protocol import Vectors

Floating = TypeVar("Floating", bound=np.floating)

DEFAULT_DEPTH = 100
"""Documents kept for each query, unless a measure needs more."""
MAX_SCORES = 2**22
"""Scores held at once, 16 MB; the more queries, the fewer vectors are in a block."""


def depth_for(measures: Iterable[Measure]) -> int:
    """Return the number of documents that the measures need for each query, at least ``DEFAULT_DEPTH``."""
    return max([DEFAULT_DEPTH, *(measure.k for measure in measures)])


class TopK:
    """The best ``k`` of the vectors pushed so far, for every query, by the model's similarity.

    ``tie_rank`` is each vector's position in descending order of ids (see ``tie_ranks``): of two vectors with equal
    scores, the one at the lower position comes first.
    """

    def __init__(self, queries: Vectors, k: int, tie_rank: NDArray[np.int64], similarity: Similarity) -> None:
        self._k = k
        self._scorer = Scorer(similarity, queries)
        self._tie_rank = tie_rank
        self._block = max(1, MAX_SCORES // max(1, len(queries)))
        self._scores = np.empty((len(queries), 0), dtype=np.float32)
        self._indices = np.empty((len(queries), 0), dtype=np.int64)

    def push(self, positions: NDArray[np.int64], vectors: Vectors) -> None:
        """Merge the vectors at these positions of ``tie_rank``; shapes (vectors,) and (vectors, dimensions)."""
        for start in range(0, len(positions), self._block):
            block = slice(start, start + self._block)
            scores = self._scorer(vectors[block])
            indices = np.broadcast_to(positions[block], scores.shape)
            if self._scores.shape[1] == self._k:
                # Most of a block scores below the k-th so far; sorting only the rest is what makes this fast.
                scores, indices = _at_least(self._scores[:, -1], scores, indices)
            self._scores, self._indices = best(
                np.concatenate([self._scores, scores], axis=1),
                np.concatenate([self._indices, indices], axis=1),
                self._tie_rank,
                self._k,
            )

    def result(self) -> tuple[Vectors, NDArray[np.int64]]:
        """Return scores and positions, each of shape (queries, k), best first."""
        return self._scores, self._indices


def tie_ranks(ids: Sequence[str]) -> NDArray[np.int64]:
    """Return each id's position in descending order: trec_eval puts the highest id first among equal scores."""
    ranks = np.empty(len(ids), dtype=np.int64)
    ranks[sorted(range(len(ids)), key=ids.__getitem__, reverse=True)] = np.arange(len(ids))
    return ranks


def best(
    scores: NDArray[Floating], indices: NDArray[np.int64], tie_rank: NDArray[np.int64], k: int
) -> tuple[NDArray[Floating], NDArray[np.int64]]:
    """Return the first ``k`` of each row, best first, ties by ``tie_rank[index]``; all arrays of shape (rows, n)."""
    width = scores.shape[1]
    if width > k:
        # The k-th value decides what may stay; every tie with it stays until ids have been compared.
        kth = np.partition(scores, width - k, axis=1)[:, width - k]
        scores, indices = _at_least(kth, scores, indices)
    order = np.lexsort((tie_rank[indices], -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(indices, order, axis=1)


def _at_least(
    limits: NDArray[Floating], scores: NDArray[Floating], indices: NDArray[np.int64]
) -> tuple[NDArray[Floating], NDArray[np.int64]]:
    """Return the entries of each row that reach its limit, in their order; shorter rows are filled up with -inf."""
    rows, columns = np.nonzero(scores >= limits[:, None])
    counts = np.bincount(rows, minlength=len(scores))
    # Number of each entry within its row: the new column.
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = len(scores), int(counts.max(initial=0))
    kept_scores, kept_indices = np.full(shape, -np.inf, dtype=scores.dtype), np.zeros(shape, dtype=np.int64)
    kept_scores[rows, within] = scores[rows, columns]
    kept_indices[rows, within] = indices[rows, columns]
    return kept_scores, kept_indices


class Search:
    """Ranks documents for queries by a similarity, while the documents' vectors come in.

    Args:
        groups: ids of the documents with the same text, for each vector that will be pushed.
        queries: shape (queries, dimensions).
        query_ids: their ids.
        depth: documents to keep for each query.
        similarity: decides the scores.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[str]],
        queries: Vectors,
        query_ids: Sequence[str],
        depth: int,
        similarity: Similarity,
    ) -> None:
        self._groups, self._query_ids, self._depth = groups, query_ids, depth
        # A group's highest id stands for it. Before the group of a document among the first ``depth`` come fewer than
        # ``depth`` groups, each with at least one document before it: so the cut at ``depth`` groups loses none.
        tie_rank = tie_ranks([max(ids) for ids in groups])
        self._top = TopK(queries, min(depth, len(groups)), tie_rank, similarity)

    def push(self, positions: Sequence[int], vectors: Vectors) -> None:
        """Take the vectors at these positions of ``groups``, shape (vectors, dimensions); each once, in any order."""
        if self._query_ids:
            self._top.push(np.asarray(positions, dtype=np.int64), vectors)

    def run(self) -> Run:
        """Return the ranking of all documents pushed."""
        scores, indices = self._top.result()
        rankings = {
            query: [
                (doc, float(score))
                for score, index in zip(scores[row], indices[row], strict=True)
                for doc in self._groups[index]
            ]
            for row, query in enumerate(self._query_ids)
        }
        # Documents with equal text come as one vector, so a ranking may be longer than asked for.
        return Run(rankings).cut(self._depth)
