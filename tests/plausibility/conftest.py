"""Rows as a card would print them, and rows that real rankings give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import pytest

from pytest_embedbench.core.measures import Measure, parse_measure
from pytest_embedbench.core.runs import Run
from pytest_embedbench.evaluate.metrics import means, score
from pytest_embedbench.plausibility.rows import Grading, ReportedRow, ReportedValue

CUTS = (1, 3, 5, 10, 20, 100)
EVERY = tuple(Measure(family, k) for family in ("ndcg", "map", "mrr", "recall", "precision") for k in CUTS)


class MakeRow(Protocol):
    """The ``make_row`` fixture."""

    def __call__(
        self, scores: Mapping[str, str], judgments: Grading = ..., dataset: str = ..., model: str = ...
    ) -> ReportedRow: ...


class MeasuredMeans(Protocol):
    """The ``measured_means`` fixture."""

    def __call__(self, seed: int, *, grades: int) -> dict[Measure, float]: ...


@pytest.fixture(scope="session")
def make_row() -> MakeRow:
    """Return a function that makes a row from printed scores: ``{"ndcg@10": "0.1447"}``."""

    def make(
        scores: Mapping[str, str], judgments: Grading = "", dataset: str = "data", model: str = "org/m"
    ) -> ReportedRow:
        values = {parse_measure(name): ReportedValue.printed(text) for name, text in scores.items()}
        return ReportedRow(dataset=dataset, model=model, judgments=judgments, scores=values)

    return make


@pytest.fixture(scope="session")
def measured_means() -> MeasuredMeans:
    """Return a function that gives the means of a few random rankings, good, bad and extreme, by trec_eval itself."""

    def measure(seed: int, *, grades: int) -> dict[Measure, float]:
        random = np.random.default_rng(seed)
        qrels, ranked = {}, {}
        for number in range(int(random.integers(1, 5))):
            docs = [f"d{index}" for index in range(int(random.integers(1, 130)))]
            relevant = random.choice(docs, size=int(random.integers(1, len(docs) + 1)), replace=False)
            # Grades far apart are what breaks inequalities that only hold for binary judgments.
            judged = {str(doc): int(random.integers(1, grades + 1)) ** int(random.integers(1, 4)) for doc in relevant}
            skill = random.normal() * 3
            scored = [(doc, float(random.normal() + skill * (doc in judged))) for doc in docs]
            qrels[f"q{number}"] = judged if grades > 1 else dict.fromkeys(judged, 1)
            ranked[f"q{number}"] = scored[: int(random.integers(0, len(docs) + 1))]
        found = means(score(Run(ranked), qrels, list(qrels), EVERY))
        return {parse_measure(name): value for name, value in found.items()}

    return measure
