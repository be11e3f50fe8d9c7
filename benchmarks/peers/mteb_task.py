"""mteb with a retrieval task of our own over the collection, at its defaults: ``MODEL COLLECTION``, both folders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import mteb
from datasets import Dataset
from measured import Clock, read, say
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from sentence_transformers import SentenceTransformer


class Local(AbsTaskRetrieval):
    """Load the collection in a folder, in the form in which mteb loads one of the Hub."""

    metadata = TaskMetadata(
        name="Local",
        description="A collection in a BEIR folder.",
        type="Retrieval",
        category="t2t",
        dataset={"path": "local", "revision": "local"},
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
    )
    folder: Path

    def load_data(self, num_proc: int | None = None, **others: Any) -> None:
        collection = read(self.folder)
        self.dataset = {
            "default": {
                "test": {
                    "corpus": _table(collection.docs, title=""),
                    "queries": _table(collection.queries),
                    "relevant_docs": collection.qrels,
                    "top_ranked": None,
                }
            }
        }
        self.data_loaded = True


def _table(texts: dict[str, str], **others: str) -> Dataset:
    return Dataset.from_list([{"id": key, "text": text, **others} for key, text in texts.items()])


def main(model_folder: str, collection_folder: str) -> None:
    clock = Clock()
    with clock.phase("load"):
        model = SentenceTransformer(model_folder, device="cpu")
    clock.watch(model)
    task = Local()
    task.folder = Path(collection_folder)
    with clock.phase("evaluate"):
        result = mteb.evaluate(model, task, cache=None, co2_tracker=False)
    (scores,) = result.task_results[0].scores["test"]
    say(clock, scores["ndcg_at_10"])


if __name__ == "__main__":
    main(*sys.argv[1:])
