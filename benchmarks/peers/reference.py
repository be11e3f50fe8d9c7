"""Compute the value that a run should have: ``MODEL COLLECTION``, both folders.

sentence-transformers' own fp32 vectors, inner products with every document, trec_eval's nDCG@10 with grades.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytrec_eval
from measured import Clock, read, say
from sentence_transformers import SentenceTransformer


def main(model_folder: str, collection_folder: str) -> None:
    clock = Clock()
    collection = read(Path(collection_folder))
    model = SentenceTransformer(model_folder, device="cpu")
    clock.watch(model)
    docs = model.encode(list(collection.docs.values()), convert_to_numpy=True)
    queries = model.encode(list(collection.queries.values()), convert_to_numpy=True)
    run = {
        query: dict(zip(collection.docs, row.tolist(), strict=True))
        for query, row in zip(collection.queries, queries @ docs.T, strict=True)
    }
    values = pytrec_eval.RelevanceEvaluator(collection.qrels, {"ndcg_cut.10"}).evaluate(run)
    say(clock, sum(value["ndcg_cut_10"] for value in values.values()) / len(values))


if __name__ == "__main__":
    main(*sys.argv[1:])
