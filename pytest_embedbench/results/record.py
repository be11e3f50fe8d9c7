"""What a result says of a dataset, and its scores under both names."""

from __future__ import annotations

from msgspec.structs import replace

from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.evaluate.metrics import Scores, means
from pytest_embedbench.results.schema import DatasetRecord, PairResult

UNKNOWN_LANGUAGE = ["und-Zyyy"]
"""MTEB wants languages; this is its code for unknown ones."""


def dataset_record(dataset: Dataset) -> DatasetRecord:
    """The dataset's facts and counts."""
    return DatasetRecord(
        name=dataset.name,
        split=dataset.split,
        fingerprint=dataset.fingerprint,
        documents=len(dataset.doc_ids),
        unique_texts=dataset.unique_texts,
        queries=len(dataset.judged_queries),
        queries_in_file=len(dataset.query_ids),
        facts=dataset.facts,
        findings=list(dataset.findings),
    )


def with_scores(result: PairResult, scores: Scores, dataset: Dataset) -> PairResult:
    """The result with these scores, both under MTEB's names and under ours."""
    mean = means(scores)
    mteb: dict[str, object] = {parse_measure(name).mteb_name: value for name, value in mean.items()}
    mteb["main_score"] = mean.get("ndcg@10")
    mteb |= {"hf_subset": "default", "languages": dataset.facts.languages or UNKNOWN_LANGUAGE}
    details = replace(result.embedbench, means=mean)
    return replace(result, scores={dataset.split or "test": [mteb]} if mean else {}, embedbench=details)
