"""Words that documents share with a query or with each other: sparse BM25 weights, without an extra.

Okapi's formula with Lucene's idf (Robertson & Zaragoza 2009; k1 1.5, b 0.75) over lower-cased words, without stemming
and stop words, so that it serves any language that separates words. It only decides the order of encoding; the BM25
model is ``models/bm25.py``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

K1, B = 1.5, 0.75
"""BM25's saturation of repeated words, and its share of length normalization."""

_WORD = re.compile(r"\w+")


class Lexicon:
    """Word weights of a corpus's documents."""

    def __init__(self, texts: Sequence[str]) -> None:
        from scipy.sparse import csr_array

        self._column: dict[str, int] = {}
        columns = [
            [self._column.setdefault(word, len(self._column)) for word in _WORD.findall(text.casefold())]
            for text in texts
        ]
        lengths = np.array([len(row) for row in columns], dtype=np.int64)
        words = np.fromiter((column for row in columns for column in row), dtype=np.int64, count=int(lengths.sum()))
        docs = np.repeat(np.arange(len(texts)), lengths)
        # Each (document, word) as one number, so that repetitions are counted in one go.
        pairs, counts = np.unique(docs * max(1, len(self._column)) + words, return_counts=True)
        docs, words = np.divmod(pairs, max(1, len(self._column)))
        spread = np.bincount(words, minlength=len(self._column))
        idf = np.log1p((len(texts) - spread + 0.5) / (spread + 0.5))
        length = 1 - B + B * lengths / max(1.0, float(lengths.mean()) if len(texts) else 1.0)
        weights = idf[words] * counts * (K1 + 1) / (counts + K1 * length[docs])
        self._weights: Any = csr_array((weights, (docs, words)), shape=(len(texts), len(self._column)))
        norms = np.sqrt(np.bincount(docs, weights=weights**2, minlength=len(texts)))
        unit = weights / norms[docs]
        self._unit: Any = csr_array((unit, (docs, words)), shape=self._weights.shape)

    def bm25(self, queries: Sequence[str]) -> Any:
        """Return BM25 scores, a sparse array of shape (queries, documents)."""
        from scipy.sparse import csr_array

        query_columns = [
            sorted({self._column[word] for word in _WORD.findall(query.casefold()) if word in self._column})
            for query in queries
        ]
        rows = np.repeat(np.arange(len(queries)), [len(row) for row in query_columns])
        words = np.array([column for row in query_columns for column in row], dtype=np.int64)
        table = csr_array((np.ones(len(words)), (rows, words)), shape=(len(queries), self._weights.shape[1]))
        return csr_array(table @ self._weights.T)

    def likeness(self, docs: NDArray[np.int64]) -> Floats:
        """Return the sum of each document's cosines (of word weights) with a row of ``docs``, itself left out.

        Args:
            docs: shape (rows, n), a row's documents distinct.

        Returns:
            Shape (rows, documents).
        """
        from scipy.sparse import csr_array

        rows, documents = len(docs), self._unit.shape[0]
        chosen = csr_array(
            (np.ones(docs.size), (np.repeat(np.arange(rows), docs.shape[1]), docs.ravel())), shape=(rows, documents)
        )
        cosines = np.ascontiguousarray((self._unit @ (chosen @ self._unit).T.toarray()).T, dtype=np.float64)
        # A document's cosine with itself.
        cosines[np.arange(rows)[:, None], docs] -= 1.0
        return cosines
