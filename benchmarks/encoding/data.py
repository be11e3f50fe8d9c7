"""Collections that all systems read alike: BEIR folders, copied from a real collection or made up."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset

QUERIES = 50
"""Queries of a made-up collection."""

SEED = 0


class Collection(NamedTuple):
    """A BEIR folder and the texts of its documents."""

    name: str
    folder: Path
    texts: list[str]
    queries: int


def copy(source: Path, target: Path, documents: int | None) -> Collection:
    """Copy a collection's documents, and its queries with a relevant document; with a limit, relevant documents first.

    Titles are put in front of texts, and the judgments get a header, so that all systems read the same texts.
    """
    dataset = load_dataset(NamedDataset(alias=source.name, spec=DatasetSpec(path=str(source))))
    relevant = {doc for query in dataset.judged_queries for doc, grade in dataset.qrels[query].items() if grade > 0}
    docs = dict(zip(dataset.doc_ids, dataset.doc_texts, strict=True))
    if documents is not None:
        docs = {doc: docs[doc] for doc in sorted(docs, key=lambda doc: doc not in relevant)[:documents]}
    qrels = {
        query: {doc: grade for doc, grade in dataset.qrels[query].items() if doc in docs}
        for query in dataset.judged_queries
    }
    qrels = {query: judged for query, judged in qrels.items() if any(grade > 0 for grade in judged.values())}
    return _write(target, docs, {query: dataset.query_text[query] for query in qrels}, qrels, source.name)


def invented(source: list[str], target: Path, documents: int, mean_words: float | None) -> Collection:
    """Make distinct texts of a real collection's words, with its lengths, both drawn with a seed.

    ``mean_words`` scales the lengths to another mean.
    """
    draw = random.Random(SEED)
    words = [word for text in source for word in text.split()]
    lengths = [len(text.split()) for text in source]
    scale = mean_words / (sum(lengths) / len(lengths)) if mean_words else 1.0
    texts: dict[str, None] = {}
    while len(texts) < documents:
        texts[" ".join(draw.choices(words, k=max(1, round(scale * draw.choice(lengths)))))] = None
    docs = {f"d{number}": text for number, text in enumerate(texts)}
    queries = {f"q{number}": " ".join(draw.choices(words, k=8)) for number in range(QUERIES)}
    qrels = {query: {draw.choice(list(docs)): 1} for query in queries}
    return _write(target, docs, queries, qrels, f"{documents}")


def _write(
    folder: Path,
    docs: Mapping[str, str],
    queries: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    name: str,
) -> Collection:
    (folder / "qrels").mkdir(parents=True)
    for file, texts in (("corpus.jsonl", docs), ("queries.jsonl", queries)):
        lines = (json.dumps({"_id": key, "title": "", "text": text}) + "\n" for key, text in texts.items())
        (folder / file).write_text("".join(lines), encoding="utf-8")
    rows = (f"{query}\t{doc}\t{grade}\n" for query, judged in qrels.items() for doc, grade in judged.items())
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows), encoding="utf-8")
    return Collection(name, folder, list(docs.values()), len(queries))
