"""Published scores and sizes of datasets, each with its source, from ``published.toml``."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Literal

import msgspec


class PublishedSize(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Published size of a dataset."""

    documents: int
    unique_texts: int
    """Distinct texts of the documents, which some cards print as the size of the corpus."""
    queries: int
    """Scored queries of ``split``."""
    split: str
    judgments: Literal["binary", "graded"]
    """``graded`` if relevant documents have several grades."""
    source: str


class PublishedScores(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Published scores of a model on one split of a dataset."""

    model: str
    dataset: str
    split: str
    source: str
    values: dict[str, float]
    """Measure (``ndcg@10``) -> mean over the queries."""


class _PublishedTables(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    datasets: dict[str, PublishedSize]
    scores: list[PublishedScores]


@cache
def _tables() -> _PublishedTables:
    text = resources.files(__package__).joinpath("published.toml").read_text(encoding="utf-8")
    return msgspec.toml.decode(text, type=_PublishedTables)


def sizes() -> dict[str, PublishedSize]:
    """Return every known size by the dataset's name."""
    return _tables().datasets


def scores() -> list[PublishedScores]:
    """Return all known scores, one entry for each model, dataset and split."""
    return _tables().scores


def size_of(dataset: str) -> PublishedSize | None:
    """Return the size of the dataset with this name, ignoring case; None if it is not known."""
    wanted = dataset.casefold()
    return next((size for name, size in sizes().items() if name.casefold() == wanted), None)


def scores_of(model: str, dataset: str, split: str = "") -> PublishedScores | None:
    """Return the published scores of a model on a dataset, ignoring case; None if there are none.

    An empty split stands for any: the first published one is returned.
    """
    for entry in scores():
        same = entry.model.casefold() == model.casefold() and entry.dataset.casefold() == dataset.casefold()
        if same and split in {"", entry.split}:
            return entry
    return None
