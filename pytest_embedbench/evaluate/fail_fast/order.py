"""In which order to encode a corpus so that failing is proven soon.

A query's bound falls only when its relevant documents are seen, and then only as far as other documents are seen that
rank before them. Each document therefore gets a price and the cheapest come first:

- a relevant document costs as many documents as its query has relevant ones: a query with three falls from 1 to its
  true value for three documents, one with a hundred hardly moves before most of them are seen, and a failing mean is
  often proven without it;
- any other document costs ``PACE`` times its place among the documents that are likely to crowd the query;
- the lowest over all queries counts, times the square root of the text's length: what is encoded is tokens, but how
  soon a document is wanted should not hang on its length alone.

What is likely to crowd a query: what ranked high in an earlier run (of any model), else what shares words with it.
Without an earlier run the order learns: once part of the corpus is scored, a least-squares fit says how much the
model's own scores follow from shared words, from being judged (though not relevant), from length, and from likeness
to the documents that lead the query's ranking now; the rest is ordered by what it predicts.

An order decides when a failure is proven, never whether: the bounds hold for any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_embedbench.core.batching import distinct
from pytest_embedbench.evaluate.fail_fast.judged import Judged
from pytest_embedbench.evaluate.fail_fast.word_overlap import Lexicon
from pytest_embedbench.evaluate.search import best

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pytest_embedbench.core.runs import Run
    from pytest_embedbench.datasets.types import Dataset

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

PACE = 8
"""A query's n-th hardest document comes with the relevant documents of queries that have ``8 n``."""

LEADING = 5
"""Documents at the top of a query's ranking that unseen ones are compared with."""

HARDEST = 1000
"""Documents of each query that are ordered; what is in no query's list comes last."""

SAMPLE = 2000
"""Scored documents that a fit looks at."""

FIRST_FIT, LAST_FIT, PATIENCE = 0.05, 0.5, 1.5
"""The order is planned anew at 5% of the corpus, and each time what is seen has grown by half, up to 50%."""

WEIGHTS = np.array([1.0, 0.0, 0.0, 0.0])
"""Of the features, before anything is scored: shared words alone."""


class Order:
    """Hands out a corpus block by block, each document once.

    Args:
        dataset: the corpus, its queries and judgments.
        earlier: a ranking of the same corpus by an earlier run, e.g. of the baseline; its documents come first.
    """

    def __init__(self, dataset: Dataset, *, earlier: Run | None = None) -> None:
        self._judged = Judged(dataset)
        self._lexicon = Lexicon(dataset.doc_texts)
        self._queries = dataset.judged_queries
        self._shared = self._lexicon.bm25([dataset.query_text[query] for query in self._queries])
        self._relevant = [self._judged.docs[self._judged.rows == row] for row in range(len(self._queries))]
        self._group = np.array(distinct(dataset.doc_texts)[1], dtype=np.int64)
        place = {doc: index for index, doc in enumerate(dataset.doc_ids)}
        # A judged document has been in the pool of some system, so it is likelier to rank high.
        self._pooled = [
            np.array([place[doc] for doc in dataset.qrels[query] if doc in place], dtype=np.int64)
            for query in self._queries
        ]
        self._earlier: list[Integers] = (
            [
                np.array([place[doc] for doc, _ in earlier.get(query, []) if doc in place], dtype=np.int64)
                for query in self._queries
            ]
            if earlier is not None
            else []
        )
        self._characters = np.array([1.0 + len(text) for text in dataset.doc_texts])
        lengths = np.log(self._characters)
        self._length = (lengths - lengths.mean()) / (lengths.std() or 1.0)
        self._left = np.ones(len(place), dtype=bool)
        self._sample = np.empty(0, dtype=np.int64)
        self._sampled = np.empty((len(self._queries), 0))
        self._top = (np.empty((len(self._queries), 0)), np.empty((len(self._queries), 0), dtype=np.int64))
        self._plan()

    @property
    def queue(self) -> Integers:
        """All documents as they would come now, those handed out included."""
        return self._queue

    def next(self, size: int) -> Integers:
        """Places in ``dataset.doc_ids`` of the next ``size`` documents or few more; documents of one text together.

        Empty when all have been handed out.
        """
        seen = 1 - float(self._left.mean())
        if len(self._sample) and max(FIRST_FIT, PATIENCE * self._planned_at) <= seen <= LAST_FIT:
            self._plan()
        queue = self._queue[self._left[self._queue]]
        groups = self._group[queue]
        end = min(size, len(queue))
        while 0 < end < len(queue) and groups[end] == groups[end - 1]:
            end += 1
        self._left[queue[:end]] = False
        return queue[:end]

    def learn(self, docs: Integers, scores: NDArray[np.floating]) -> None:
        """Scores of documents handed out, shape (judged queries, documents); the following order may use them."""
        if self._earlier:
            return
        room = max(0, SAMPLE - len(self._sample))
        self._sample = np.concatenate([self._sample, docs[:room]])
        self._sampled = np.concatenate([self._sampled, scores[:, :room]], axis=1)
        self._top = best(
            np.concatenate([self._top[0], scores], axis=1),
            np.concatenate([self._top[1], np.broadcast_to(docs, scores.shape)], axis=1),
            np.arange(len(self._left)),
            LEADING,
        )

    def _plan(self) -> None:
        """Price every document; ``_queue`` is all documents, cheapest first."""
        judged, documents = self._judged, len(self._left)
        prices = np.full(documents, np.inf)
        weights = self._fit() if len(self._sample) else WEIGHTS
        places = PACE * np.arange(1.0, min(HARDEST, documents) + 1)
        for rows in self._chunks():
            hardness = np.tensordot(weights, self._features(rows), axes=1)
            for row, likely in zip(rows, hardness, strict=True):
                if self._earlier:
                    known = self._earlier[row]
                    likely[known] = likely.max(initial=0.0) + np.arange(len(known), 0, -1)
                relevant = self._relevant[row]
                likely[relevant] = -np.inf
                hardest = np.argpartition(-likely, len(places) - 1)[: len(places)]
                hardest = hardest[np.argsort(-likely[hardest], kind="stable")]
                prices[hardest] = np.minimum(prices[hardest], places)
                prices[relevant] = np.minimum(prices[relevant], judged.relevant[row])
        of_text = np.full(documents, np.inf)
        np.minimum.at(of_text, self._group, prices * np.sqrt(self._characters))
        self._queue = np.lexsort((self._group, of_text[self._group]))
        self._planned_at = 1 - float(self._left.mean())

    def _chunks(self) -> Iterator[range]:
        """Rows of queries, so few at once that their features take no more than some 100 MB."""
        step = max(1, 4_000_000 // len(self._left))
        for start in range(0, len(self._queries), step):
            yield range(start, min(start + step, len(self._queries)))

    def _features(self, rows: range) -> Floats:
        """What may tell how high documents rank for some queries, shape (4, queries, documents)."""
        found = np.zeros((4, len(rows), len(self._left)))
        found[0] = self._shared[rows.start : rows.stop].toarray()
        found[0] /= np.maximum(found[0].max(axis=1, keepdims=True, initial=0.0), 1e-9)
        for place, row in enumerate(rows):
            found[1, place, self._pooled[row]] = 1.0
        found[2] = self._length
        found[3] = self._lexicon.likeness(self._top[1][rows.start : rows.stop])
        return found

    def _fit(self) -> Floats:
        """Weights of the features by least squares over the sampled scores, each query's mean taken out."""
        products, sums = 1e-6 * np.eye(4), np.zeros(4)
        for rows in self._chunks():
            features = self._features(rows)[:, :, self._sample]
            features -= features.mean(axis=2, keepdims=True)
            scores = self._sampled[rows.start : rows.stop]
            products += np.einsum("iqd,jqd->ij", features, features, optimize=True)
            sums += np.einsum("iqd,qd->i", features, scores - scores.mean(axis=1, keepdims=True))
        return np.asarray(np.linalg.solve(products, sums), dtype=np.float64)
