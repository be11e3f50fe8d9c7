"""beir's exact dense retrieval at its defaults, which are batches of 128: ``MODEL COLLECTION``, both folders."""

from __future__ import annotations

import sys

from beir.datasets.data_loader import GenericDataLoader
from beir.retrieval.evaluation import EvaluateRetrieval
from beir.retrieval.models import SentenceBERT
from beir.retrieval.search.dense import DenseRetrievalExactSearch
from measured import Clock, say


def main(model_folder: str, collection_folder: str) -> None:
    clock = Clock()
    with clock.phase("read"):
        corpus, queries, qrels = GenericDataLoader(data_folder=collection_folder).load(split="test")
    with clock.phase("load"):
        model = SentenceBERT(model_folder, device="cpu")
    clock.watch(model.q_model)
    retriever = EvaluateRetrieval(DenseRetrievalExactSearch(model), score_function="cos_sim")
    with clock.phase("evaluate"):
        results = retriever.retrieve(corpus, queries)
        ndcg, *_ = retriever.evaluate(qrels, results, retriever.k_values)
    say(clock, ndcg["NDCG@10"])


if __name__ == "__main__":
    main(*sys.argv[1:])
