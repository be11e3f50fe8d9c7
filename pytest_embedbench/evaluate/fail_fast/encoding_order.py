"""Order in which a corpus is encoded, so that a failure is proven soon.

A query's bound falls only when its relevant documents are seen, and then only as far as other documents are seen that
rank before them. Each document therefore gets a price and the cheapest come first:

- a relevant document costs as many documents as its query has relevant ones: a query with three falls from 1 to its
  true value for three documents, one with a hundred hardly moves before most of them are seen, and a failing mean is
  often proven without it;
- any other document costs ``RANK_PRICE`` times its position among the documents likely to rank high for the query;
- the lowest price over all queries counts, times the square root of the text's length: the effort grows with tokens,
  but length alone should not decide when a document comes.

Likely to rank high for a query are documents that did so in an earlier run (of any model), otherwise those that share
words with it. Without an earlier run the order learns: once part of the corpus is scored, a least-squares fit estimates
how the model's scores depend on shared words, on being judged (though not relevant), on length, and on likeness to the
documents that lead the query's ranking now. The rest of the corpus is ordered by the scores that the fit predicts.

The order decides when a failure is proven, never whether: the bounds hold for any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_embedbench.core.batching import distinct
from pytest_embedbench.evaluate.fail_fast.judgment_arrays import JudgmentArrays
from pytest_embedbench.evaluate.fail_fast.word_overlap import Lexicon
from pytest_embedbench.evaluate.search import best

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pytest_embedbench.core.runs import Run
    from pytest_embedbench.datasets.types import Dataset

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

RANK_PRICE = 8
"""Price per position; a query's n-th likeliest document costs as much as a relevant one of a query with 8 n of them."""

TOP_DOCUMENTS = 5
"""Documents at the top of a query's ranking that unseen ones are compared with."""

MAX_LIKELY = 1000
"""Documents of each query that get a price; those of no query come last."""

MAX_FITTED = 2000
"""Scored documents that a fit uses."""

FIRST_FIT, LAST_FIT = 0.05, 0.5
"""Shares of the corpus seen, between which the order is planned anew."""

FIT_GROWTH = 1.5
"""Growth of the part seen, after which the order is planned anew."""

DEFAULT_WEIGHTS = np.array([1.0, 0.0, 0.0, 0.0])
"""Weights of the features before anything is scored: shared words alone."""


class EncodingOrder:
    """Hands out a corpus block by block, each document once.

    Args:
        dataset: the corpus, its queries and judgments.
        earlier: a ranking of the same corpus by an earlier run; its documents come first.
    """

    def __init__(self, dataset: Dataset, *, earlier: Run | None = None) -> None:
        self._judged = JudgmentArrays(dataset)
        self._lexicon = Lexicon(dataset.doc_texts)
        self._queries = dataset.judged_queries
        self._shared = self._lexicon.bm25([dataset.query_text[query] for query in self._queries])
        self._relevant = [self._judged.docs[self._judged.rows == row] for row in range(len(self._queries))]
        # Number of each document's distinct text.
        self._group = np.array(distinct(dataset.doc_texts)[1], dtype=np.int64)
        position = {doc: index for index, doc in enumerate(dataset.doc_ids)}
        # A judged document has been in the pool of some system, so it is likelier to rank high.
        self._pooled = [
            np.array([position[doc] for doc in dataset.qrels[query] if doc in position], dtype=np.int64)
            for query in self._queries
        ]
        self._earlier: list[Integers] = (
            [
                np.array([position[doc] for doc, _ in earlier.get(query, []) if doc in position], dtype=np.int64)
                for query in self._queries
            ]
            if earlier is not None
            else []
        )
        # One more than the length, so that an empty text has a logarithm.
        self._characters = np.array([1.0 + len(text) for text in dataset.doc_texts])
        lengths = np.log(self._characters)
        self._length = (lengths - lengths.mean()) / (lengths.std() or 1.0)
        self._left = np.ones(len(position), dtype=bool)
        self._sample = np.empty(0, dtype=np.int64)
        self._sampled = np.empty((len(self._queries), 0))
        self._top = (np.empty((len(self._queries), 0)), np.empty((len(self._queries), 0), dtype=np.int64))
        self._plan()

    @property
    def queue(self) -> Integers:
        """All documents in the order planned now, those handed out included."""
        return self._queue

    def next(self, size: int) -> Integers:
        """Return positions in ``dataset.doc_ids`` of the next ``size`` documents; a few more if their text is equal.

        Empty when all have been handed out.
        """
        seen = 1 - float(self._left.mean())
        if len(self._sample) and max(FIRST_FIT, FIT_GROWTH * self._planned_at) <= seen <= LAST_FIT:
            self._plan()
        queue = self._queue[self._left[self._queue]]
        groups = self._group[queue]
        end = min(size, len(queue))
        while 0 < end < len(queue) and groups[end] == groups[end - 1]:
            end += 1
        self._left[queue[:end]] = False
        return queue[:end]

    def learn(self, docs: Integers, scores: NDArray[np.floating]) -> None:
        """Take scores of documents handed out, shape (judged queries, documents); later plans use them."""
        if self._earlier:
            return  # the earlier run gives the order, so nothing is fitted
        room = max(0, MAX_FITTED - len(self._sample))
        self._sample = np.concatenate([self._sample, docs[:room]])
        self._sampled = np.concatenate([self._sampled, scores[:, :room]], axis=1)
        self._top = best(
            np.concatenate([self._top[0], scores], axis=1),
            np.concatenate([self._top[1], np.broadcast_to(docs, scores.shape)], axis=1),
            np.arange(len(self._left)),
            TOP_DOCUMENTS,
        )

    def _plan(self) -> None:
        """Price every document; ``_queue`` then has all documents, cheapest first."""
        judged, documents = self._judged, len(self._left)
        prices = np.full(documents, np.inf)
        weights = self._fit() if len(self._sample) else DEFAULT_WEIGHTS
        ladder = RANK_PRICE * np.arange(1.0, min(MAX_LIKELY, documents) + 1)
        for rows in self._chunks():
            likeliness = np.tensordot(weights, self._features(rows), axes=1)
            for row, likely in zip(rows, likeliness, strict=True):
                if self._earlier:
                    known = self._earlier[row]
                    # Before all others, in the order of the earlier run.
                    likely[known] = likely.max(initial=0.0) + np.arange(len(known), 0, -1)
                relevant = self._relevant[row]
                # Relevant documents have a price of their own, below.
                likely[relevant] = -np.inf
                likeliest = np.argpartition(-likely, len(ladder) - 1)[: len(ladder)]
                likeliest = likeliest[np.argsort(-likely[likeliest], kind="stable")]
                prices[likeliest] = np.minimum(prices[likeliest], ladder)
                prices[relevant] = np.minimum(prices[relevant], judged.relevant[row])
        # Equal texts are encoded once, so they share the lowest price among them and come together.
        text_price = np.full(documents, np.inf)
        np.minimum.at(text_price, self._group, prices * np.sqrt(self._characters))
        # By group where prices are equal, so that equal texts stand side by side, as ``next`` expects.
        self._queue = np.lexsort((self._group, text_price[self._group]))
        self._planned_at = 1 - float(self._left.mean())

    def _chunks(self) -> Iterator[range]:
        """Yield ranges of queries, so few at once that their features take some 100 MB at most."""
        # Four features of 8 bytes for each query and document: 128 MB.
        step = max(1, 4_000_000 // len(self._left))
        for start in range(0, len(self._queries), step):
            yield range(start, min(start + step, len(self._queries)))

    def _features(self, rows: range) -> Floats:
        """Return features that may predict scores, shape (4, queries, documents).

        They are the BM25 score (1 for the query's best), whether the document is judged, its length, and its likeness
        to the documents that lead the query's ranking now.
        """
        features = np.zeros((4, len(rows), len(self._left)))
        features[0] = self._shared[rows.start : rows.stop].toarray()
        # 1e-9 keeps a query that shares no word with any document from dividing by zero.
        features[0] /= np.maximum(features[0].max(axis=1, keepdims=True, initial=0.0), 1e-9)
        for index, row in enumerate(rows):
            features[1, index, self._pooled[row]] = 1.0
        features[2] = self._length
        features[3] = self._lexicon.likeness(self._top[1][rows.start : rows.stop])
        return features

    def _fit(self) -> Floats:
        """Return the features' weights by least squares over the sampled scores, each query's mean subtracted."""
        # A little ridge, so that a feature without variation does not make the system singular.
        products, sums = 1e-6 * np.eye(4), np.zeros(4)
        for rows in self._chunks():
            features = self._features(rows)[:, :, self._sample]
            # A query's mean says nothing about the order of its documents.
            features -= features.mean(axis=2, keepdims=True)
            scores = self._sampled[rows.start : rows.stop]
            products += np.einsum("iqd,jqd->ij", features, features, optimize=True)
            sums += np.einsum("iqd,qd->i", features, scores - scores.mean(axis=1, keepdims=True))
        return np.asarray(np.linalg.solve(products, sums), dtype=np.float64)
