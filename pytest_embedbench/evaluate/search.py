"""Exact search: corpus vectors stream past the queries in blocks, a running top-k is kept.

Memory is O(queries x (k + block)), whatever the corpus. Order is trec_eval's: score descending, ties by descending
document id, also at the cut. Equal texts are one vector, so that their scores tie exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from pytest_embedbench.evaluate.run import Run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_embedbench.models.protocol import Vectors

Score = TypeVar("Score", bound=np.floating)

BLOCK = 8192
"""Vectors scored at once; with 1,000 queries a block of scores takes 32 MB."""


class TopK:
    """The best ``k`` of the vectors pushed so far, for every query, by inner product.

    ``tie_rank`` gives each vector's place among all in descending id order (0 is the highest id): of two equal
    scores the lower rank comes first.
    """

    def __init__(self, queries: Vectors, k: int, tie_rank: NDArray[np.int64]) -> None:
        self.k = k
        self._queries = np.ascontiguousarray(queries.T)
        self._tie_rank = tie_rank
        self._scores = np.empty((len(queries), 0), dtype=np.float32)
        self._indices = np.empty((len(queries), 0), dtype=np.int64)

    def push(self, start: int, block: Vectors) -> None:
        """Merge vectors ``start .. start+len(block)``; shape (block, dimensions)."""
        scores = (block @ self._queries).T
        indices = np.broadcast_to(np.arange(start, start + len(block)), scores.shape)
        self._scores, self._indices = best(
            np.concatenate([self._scores, scores], axis=1),
            np.concatenate([self._indices, indices], axis=1),
            self._tie_rank,
            self.k,
        )

    def result(self) -> tuple[Vectors, NDArray[np.int64]]:
        """Scores and vector indices, each of shape (queries, k), best first."""
        return self._scores, self._indices


def best(
    scores: NDArray[Score], indices: NDArray[np.int64], tie_rank: NDArray[np.int64], k: int
) -> tuple[NDArray[Score], NDArray[np.int64]]:
    """The first ``k`` of each row, best first, ties by ``tie_rank[index]``; all arrays of shape (rows, n)."""
    width = scores.shape[1]
    if width > k:
        # The k-th value decides what may stay; every tie with it stays until ids have been compared.
        kth = np.partition(scores, width - k, axis=1)[:, width - k]
        keep = scores >= kth[:, None]
        most = int(keep.sum(axis=1).max(initial=0))
        columns = np.argsort(~keep, axis=1, kind="stable")[:, :most]
        scores = np.take_along_axis(np.where(keep, scores, -np.inf), columns, axis=1)
        indices = np.take_along_axis(indices, columns, axis=1)
    order = np.lexsort((tie_rank[indices], -scores), axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(indices, order, axis=1)


def search(
    vectors: Vectors, groups: Sequence[Sequence[str]], queries: Vectors, query_ids: Sequence[str], depth: int
) -> Run:
    """Rank documents by inner product.

    Args:
        vectors: one per distinct text, shape (texts, dimensions).
        groups: for each vector the ids of the documents with that text.
        queries: shape (queries, dimensions).
        query_ids: their ids.
        depth: documents to keep for each query.
    """
    if not query_ids:
        return Run({})
    highest = [max(ids) for ids in groups]
    tie_rank = np.empty(len(groups), dtype=np.int64)
    tie_rank[sorted(range(len(groups)), key=highest.__getitem__, reverse=True)] = np.arange(len(groups))
    top = TopK(queries, min(depth, len(groups)), tie_rank)
    for start in range(0, len(vectors), BLOCK):
        top.push(start, vectors[start : start + BLOCK])
    scores, indices = top.result()
    rankings = {
        query: [
            (doc, float(score)) for score, index in zip(scores[row], indices[row], strict=True) for doc in groups[index]
        ]
        for row, query in enumerate(query_ids)
    }
    return Run(rankings).cut(depth)
