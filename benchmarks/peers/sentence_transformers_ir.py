"""sentence-transformers' ``InformationRetrievalEvaluator`` at its defaults: ``MODEL COLLECTION``, both folders.

Its judgments are sets of documents: grades are lost, so that its nDCG is another measure than trec_eval's.
"""

from __future__ import annotations

import sys
from pathlib import Path

from measured import Clock, read, say
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator


def main(model_folder: str, collection_folder: str) -> None:
    clock = Clock()
    with clock.phase("read"):
        collection = read(Path(collection_folder))
    with clock.phase("load"):
        model = SentenceTransformer(model_folder, device="cpu")
    clock.watch(model)
    relevant = {
        query: {doc for doc, grade in judged.items() if grade > 0} for query, judged in collection.qrels.items()
    }
    with clock.phase("evaluate"):
        evaluator = InformationRetrievalEvaluator(collection.queries, collection.docs, relevant, write_csv=False)
        scores = evaluator(model)
    say(clock, float(scores["cosine_ndcg@10"]))


if __name__ == "__main__":
    main(*sys.argv[1:])
