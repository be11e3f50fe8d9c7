"""BM25, the lexical reference that an embedding model should beat: bm25s with Snowball stems."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_embedbench.core.runs import Run
from pytest_embedbench.errors import ModelError, needs_extra
from pytest_embedbench.models.libraries import BM25_LIBRARIES, software
from pytest_embedbench.models.protocol import ModelFacts
from pytest_embedbench.models.registry import LoadOptions, ModelKind, SourceCache
from pytest_embedbench.models.source import ModelSource

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Dataset
    from pytest_embedbench.models.spec import NamedModel


class BM25Model:
    """A ``Retriever``: Lucene's BM25 (k1 1.5, b 0.75) over English stems without stop words, like MTEB's baseline.

    Documents that share no term with the query score zero and are not retrieved.
    """

    facts = ModelFacts(architecture="BM25")

    def retrieve(self, dataset: Dataset, query_ids: Sequence[str], depth: int) -> Run:
        try:
            import bm25s
            import Stemmer
        except ImportError as error:
            raise needs_extra("bm25", "bm25s", ModelError, where="model 'bm25'") from error
        if not query_ids:
            return Run({})
        # It sets its own logger to DEBUG, so that its lines would stand in the report of every failed test.
        logging.getLogger("bm25s").setLevel(logging.WARNING)
        stemmer = Stemmer.Stemmer("english")
        # Its defaults are the method and parameters that the docstring names.
        index = bm25s.BM25()
        tokens = bm25s.tokenize(dataset.doc_texts, stopwords="en", stemmer=stemmer, show_progress=False)
        index.index(tokens, show_progress=False)
        queries = bm25s.tokenize(
            [dataset.query_text[query] for query in query_ids], stopwords="en", stemmer=stemmer, show_progress=False
        )
        # bm25s raises ValueError where k exceeds the number of documents.
        k = min(depth, len(dataset.doc_ids))
        documents, scores = index.retrieve(queries, k=k, show_progress=False)
        return Run(
            {
                query: [
                    (dataset.doc_ids[doc], float(score))
                    for doc, score in zip(documents[row], scores[row], strict=True)
                    if score > 0
                ]
                for row, query in enumerate(query_ids)
            }
        )


class BM25Kind(ModelKind):
    """BM25, which has no files and no settings."""

    def locate(self, model: NamedModel) -> ModelSource:  # noqa: ARG002 - all definitions mean the same
        return ModelSource(None, "", "bm25", software(BM25_LIBRARIES))

    def load(self, model: NamedModel, sources: SourceCache, options: LoadOptions) -> BM25Model:  # noqa: ARG002 - see locate
        return BM25Model()

    def similarity(self, model: NamedModel, sources: SourceCache) -> None:  # noqa: ARG002 - see locate
        return None


KIND = BM25Kind()
