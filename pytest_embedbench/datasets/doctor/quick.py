"""The findings that every run has: what can be seen in one pass over texts and judgments."""

from __future__ import annotations

from dataclasses import replace

from pytest_embedbench.datasets.doctor.judgments import judgment_findings
from pytest_embedbench.datasets.doctor.texts import text_findings
from pytest_embedbench.datasets.types import Dataset


def with_findings(dataset: Dataset) -> Dataset:
    """The dataset with what is wrong with its texts and judgments, beside what its reader found in the files."""
    return replace(dataset, findings=(*dataset.findings, *text_findings(dataset), *judgment_findings(dataset)))
