"""The packaged catalogue: models and datasets by alias, with facts for the card."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TypeVar

import msgspec

from pytest_embedbench.datasets.spec import DatasetSpec
from pytest_embedbench.models.spec import ModelSpec

Spec = TypeVar("Spec", bound=ModelSpec | DatasetSpec)


def _read(name: str, kind: type[Spec]) -> dict[str, Spec]:
    text = resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
    return msgspec.toml.decode(text, type=dict[str, kind])  # type: ignore[valid-type]


@cache
def models() -> dict[str, ModelSpec]:
    """Catalogue entries of models by alias."""
    return _read("models.toml", ModelSpec)


@cache
def datasets() -> dict[str, DatasetSpec]:
    """Catalogue entries of datasets by name."""
    return _read("datasets.toml", DatasetSpec)


def find(entries: Mapping[str, Spec], name: str) -> tuple[str, Spec] | None:
    """The entry with this alias, other alias or full name, whatever its case; None where there is none."""
    wanted = name.casefold()
    for alias, entry in entries.items():
        others = (alias, getattr(entry, "name", ""), *entry.aliases)
        if wanted in {other.casefold() for other in others}:
            return alias, entry
    return None
