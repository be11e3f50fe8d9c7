"""Judgments as arrays, for work on all queries at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_embedbench.datasets.types import Dataset

    Integers = NDArray[np.int64]


class JudgmentArrays:
    """A dataset's positive judgments as arrays, one entry for each (query, document), sorted by document.

    Documents are numbered by their position in the corpus, queries by their position in ``judged_queries``. A document
    that can never be ranked (judged but not in the corpus, or the query itself with ``drop_self``) counts in ``ideal``
    and ``relevant`` only.
    """

    def __init__(self, dataset: Dataset) -> None:
        position = {doc: index for index, doc in enumerate(dataset.doc_ids)}
        queries = dataset.judged_queries
        grades = [[grade for grade in dataset.qrels[query].values() if grade > 0] for query in queries]
        entries = sorted(
            (position[doc], row, grade)
            for row, query in enumerate(queries)
            for doc, grade in dataset.qrels[query].items()
            if grade > 0 and doc in position and not (dataset.drop_self and doc == query)
        )
        # Reshaped, so that there are three columns even without any entry.
        self.docs, self.rows, self.grades = np.array(entries, dtype=np.int64).reshape(-1, 3).T
        self.documents = len(position)
        self.relevant = np.array([len(row) for row in grades], dtype=np.int64)
        self.ideal = np.zeros((len(queries), max(self.relevant, default=0)), dtype=np.int64)
        for row, row_grades in enumerate(grades):
            self.ideal[row, : len(row_grades)] = sorted(row_grades, reverse=True)
        # One number for each (document, query); ascending, since entries are sorted by both.
        self._keys = self.docs * len(queries) + self.rows

    def entries_of(self, docs: Integers) -> tuple[Integers, Integers]:
        """Return the entries of these documents, and for each entry the index of its document in ``docs``."""
        # Entries are sorted by document, so those of one document are a run.
        first, last = (np.searchsorted(self.docs, docs, side=side) for side in ("left", "right"))
        counts = last - first
        indices = np.repeat(np.arange(len(docs)), counts)
        within = np.arange(len(indices)) - np.repeat(np.cumsum(counts) - counts, counts)
        return first[indices] + within, indices

    def gains(self, docs: Integers) -> Integers:
        """Return the grades of ``docs``, shape (queries, n), for their row's query; 0 for those not relevant."""
        # ``docs`` has a row for each query, so these are the numbers of ``_keys``.
        keys = docs * len(docs) + np.arange(len(docs))[:, None]
        if not len(self._keys):
            return np.zeros_like(docs)
        entries = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[entries] == keys, self.grades[entries], 0)

    def best_first(self, chosen: NDArray[np.bool_], width: int) -> Integers:
        """Return the highest ``width`` grades of each query's chosen entries, descending, padded with zeros."""
        # By query, and within a query by descending grade.
        order = np.lexsort((-self.grades, self.rows))
        order = order[chosen[order]]
        rows = self.rows[order]
        # Rows are sorted, so a row's first index is the start of its run, and the distance from there is the rank.
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
        within_width = rank < width
        table = np.zeros((len(self.relevant), min(width, int(rank.max(initial=-1)) + 1)), dtype=np.int64)
        table[rows[within_width], rank[within_width]] = self.grades[order[within_width]]
        return table
