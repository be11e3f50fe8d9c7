"""The packaged catalogue: models and datasets by alias, with facts for the card.

The entries are in ``models.toml`` and ``datasets.toml``; each fact's source stands in their comments.
"""

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


# Read when first needed, and only once: start-up must not pay for two large files.
@cache
def models() -> dict[str, ModelSpec]:
    """Return the catalogue's models by alias."""
    lists = msgspec.toml.decode(_text("languages.toml"), type=dict[str, list[str]])
    return {alias: _with_language_lists(spec, lists) for alias, spec in _read("models.toml", ModelSpec).items()}


def _with_language_lists(spec: ModelSpec, lists: Mapping[str, list[str]]) -> ModelSpec:
    """Return the entry with the names of lists in ``languages`` replaced by the lists' codes."""
    codes = (code for word in spec.languages for code in lists.get(word, [word]))
    return msgspec.structs.replace(spec, languages=tuple(codes))


@cache
def datasets() -> dict[str, DatasetSpec]:
    """Return the catalogue's datasets by name."""
    return _read("datasets.toml", DatasetSpec)


def find(entries: Mapping[str, Spec], name: str) -> tuple[str, Spec] | None:
    """Return alias and entry of the model or dataset with this alias or full name; None if there is none.

    Case does not matter.
    """
    wanted = name.casefold()
    for alias, entry in entries.items():
        names = (alias, getattr(entry, "name", ""), *entry.aliases)
        if wanted in {known.casefold() for known in names}:
            return alias, entry
    return None


def entry_of(spec: ModelSpec) -> ModelSpec | None:
    """Return the catalogue's entry for a defined model; None if the catalogue does not have the model.

    The model is recognized by its Hub id, its name at a server, its full name or its folder's name. Each may lack the
    organization, which servers and folders often leave out.
    """
    names = (spec.hub, spec.model, spec.name, spec.path.rstrip("/").rpartition("/")[2])
    for name in filter(None, names):
        for candidate in (name, name.rpartition("/")[2]):
            if entry := find(models(), candidate):
                return entry[1]
    return None
