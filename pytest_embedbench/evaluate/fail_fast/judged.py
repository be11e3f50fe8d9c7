"""Judgments as arrays, for work on all queries at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_embedbench.datasets.types import Dataset

    Integers = NDArray[np.int64]


class Judged:
    """A dataset's positive judgments as arrays, one entry for each (query, document), sorted by document.

    Documents are numbered by their place in the corpus, queries by their place in ``judged_queries``. What can never
    be ranked (a judged document that is not in the corpus, or the query's own where ``drop_self``) counts in
    ``ideal`` and ``relevant`` only.
    """

    def __init__(self, dataset: Dataset) -> None:
        place = {doc: index for index, doc in enumerate(dataset.doc_ids)}
        queries = dataset.judged_queries
        grades = [[grade for grade in dataset.qrels[query].values() if grade > 0] for query in queries]
        entries = sorted(
            (place[doc], row, grade)
            for row, query in enumerate(queries)
            for doc, grade in dataset.qrels[query].items()
            if grade > 0 and doc in place and not (dataset.drop_self and doc == query)
        )
        self.docs, self.rows, self.grades = np.array(entries, dtype=np.int64).reshape(-1, 3).T
        self.documents = len(place)
        self.relevant = np.array([len(its) for its in grades], dtype=np.int64)
        self.ideal = np.zeros((len(queries), max(self.relevant, default=0)), dtype=np.int64)
        for row, its in enumerate(grades):
            self.ideal[row, : len(its)] = sorted(its, reverse=True)
        self._keys = self.docs * len(queries) + self.rows

    def entries_of(self, docs: Integers) -> tuple[Integers, Integers]:
        """Entries of these documents, and for each the place of its document in ``docs``."""
        first, last = (np.searchsorted(self.docs, docs, side=side) for side in ("left", "right"))
        counts = last - first
        places = np.repeat(np.arange(len(docs)), counts)
        within = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
        return first[places] + within, places

    def gains(self, docs: Integers) -> Integers:
        """Grades of ``docs``, shape (queries, n), for their row's query; 0 where not relevant."""
        keys = docs * len(docs) + np.arange(len(docs))[:, None]
        if not len(self._keys):
            return np.zeros_like(docs)
        found = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[found] == keys, self.grades[found], 0)

    def best_first(self, chosen: NDArray[np.bool_], width: int) -> Integers:
        """The highest ``width`` grades of each query's chosen entries, descending, padded with zeros."""
        order = np.lexsort((-self.grades, self.rows))
        order = order[chosen[order]]
        rows = self.rows[order]
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
        kept = rank < width
        table = np.zeros((len(self.relevant), min(width, int(rank.max(initial=-1)) + 1)), dtype=np.int64)
        table[rows[kept], rank[kept]] = self.grades[order[kept]]
        return table
