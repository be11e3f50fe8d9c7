"""Small datasets in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import pytest

from pytest_embedbench.datasets.types import Dataset

DOCS = {
    "d1": "A volcano erupts when molten rock and gas escape from below the crust of the earth.",
    "d2": "Whales are mammals: they come up to the surface and breathe air through a blowhole.",
    "d3": "Sourdough bread rises by wild yeast that lives in a starter of flour and water.",
}
QUERIES = {"q1": "how does a volcano erupt", "q2": "how do whales breathe"}
QRELS = {"q1": {"d1": 1}, "q2": {"d2": 1}}


class MakeDataset(Protocol):
    """The ``make_dataset`` fixture: a dataset without a defect, but for what the arguments say."""

    def __call__(
        self,
        *,
        docs: Mapping[str, str] = ...,
        queries: Mapping[str, str] = ...,
        qrels: dict[str, dict[str, int]] = ...,
        **rest: Any,
    ) -> Dataset: ...


@pytest.fixture
def make_dataset() -> MakeDataset:
    """Return a function that makes a dataset."""

    def make(
        *,
        docs: Mapping[str, str] = DOCS,
        queries: Mapping[str, str] = QUERIES,
        qrels: dict[str, dict[str, int]] = QRELS,
        **rest: Any,
    ) -> Dataset:
        texts = list(docs), list(docs.values()), list(queries), list(queries.values())
        return Dataset("facts", "test", *texts, qrels, **rest)

    return make
