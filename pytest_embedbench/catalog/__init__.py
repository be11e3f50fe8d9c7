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
    return msgspec.toml.decode(_text(name), type=dict[str, kind])  # type: ignore[valid-type]


def _text(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


@cache
def models() -> dict[str, ModelSpec]:
    """Catalogue entries of models by alias; lists of languages that several share are written out."""
    lists = msgspec.toml.decode(_text("languages.toml"), type=dict[str, list[str]])
    return {alias: _speaking(spec, lists) for alias, spec in _read("models.toml", ModelSpec).items()}


def _speaking(spec: ModelSpec, lists: Mapping[str, list[str]]) -> ModelSpec:
    codes = (code for word in spec.languages for code in lists.get(word, [word]))
    return msgspec.structs.replace(spec, languages=tuple(codes))


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


def entry_of(spec: ModelSpec) -> ModelSpec | None:
    """What is known of the model that a definition means, by its Hub id, served name or folder; None: nothing."""
    names = (spec.hub, spec.model, spec.name, spec.path.rstrip("/").rpartition("/")[2])
    for name in filter(None, names):
        for known in (name, name.rpartition("/")[2]):
            if found := find(models(), known):
                return found[1]
    return None
