"""Make the records of a result: its model, its dataset, and its scores under MTEB's names and the project's own."""

from __future__ import annotations

from msgspec.structs import replace

from pytest_embedbench.core.measures import MAIN_MEASURE, parse_measure
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.evaluate.metrics import Scores, means
from pytest_embedbench.models.source import ModelSource
from pytest_embedbench.models.spec import NamedModel
from pytest_embedbench.results.schema import DatasetRecord, ModelRecord, PairResult

UNKNOWN_LANGUAGE = ["und-Zyyy"]
"""MTEB requires languages; this is its code for an unknown one."""


def dataset_record(dataset: Dataset) -> DatasetRecord:
    """Return the dataset's facts and counts."""
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


def model_record(model: NamedModel, source: ModelSource) -> ModelRecord:
    """Return the record of a model that was found at ``source``."""
    return ModelRecord(
        name=model.name, alias=model.alias, revision=source.revision, fingerprint=source.fingerprint, spec=model.spec
    )


def with_scores(result: PairResult, scores: Scores, dataset: Dataset) -> PairResult:
    """Return the result with the means of these scores, under MTEB's names and under the project's own."""
    mean = means(scores)
    # MTEB's loader requires main_score, hf_subset and languages beside the measures.
    mteb: dict[str, object] = {parse_measure(name).mteb_name: value for name, value in mean.items()}
    mteb["main_score"] = mean.get(str(MAIN_MEASURE))
    mteb |= {"hf_subset": "default", "languages": dataset.facts.languages or UNKNOWN_LANGUAGE}
    details = replace(result.embedbench, means=mean)
    return replace(result, scores={dataset.split or "test": [mteb]} if mean else {}, embedbench=details)
