"""Published scores and sizes, each with its source: ``published.toml`` beside this file."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Literal

import msgspec


class PublishedSize(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A dataset as published: documents, distinct texts, the scored queries of ``split``, and the kind of grades."""

    documents: int
    unique_texts: int
    queries: int
    split: str
    judgments: Literal["binary", "graded"]
    source: str


class PublishedScores(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model's means on one split, by measure (``ndcg@10``)."""

    model: str
    dataset: str
    split: str
    source: str
    values: dict[str, float]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    datasets: dict[str, PublishedSize]
    scores: list[PublishedScores]


@cache
def _table() -> _Table:
    text = resources.files(__package__).joinpath("published.toml").read_text(encoding="utf-8")
    return msgspec.toml.decode(text, type=_Table)


def sizes() -> dict[str, PublishedSize]:
    """Every known size by the dataset's name."""
    return _table().datasets


def scores() -> list[PublishedScores]:
    """Every known row of scores."""
    return _table().scores


def size_of(dataset: str) -> PublishedSize | None:
    """The dataset of this name, whatever its case; None where it is not known."""
    wanted = dataset.casefold()
    return next((size for name, size in sizes().items() if name.casefold() == wanted), None)


def scores_of(model: str, dataset: str, split: str = "") -> PublishedScores | None:
    """What is published of this model on this dataset; an empty split means the published one."""
    for entry in scores():
        same = entry.model.casefold() == model.casefold() and entry.dataset.casefold() == dataset.casefold()
        if same and split in {"", entry.split}:
            return entry
    return None
