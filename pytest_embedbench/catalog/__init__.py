"""The packaged catalogue: models and datasets by alias, with facts for the card.

The entries are in ``models.toml`` and ``datasets.toml``; each fact's source stands in their comments.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import PurePath
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from pytest_embedbench.catalog.served_names import candidates, plain
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


OTHERS_NAMES = {"qwen3-0.6b", "qwen3-4b", "qwen3-8b"}
"""Aliases of ours that are also names of other models, Qwen's language models."""


def entry_of(spec: ModelSpec) -> ModelSpec | None:
    """Return the catalogue's entry for a defined model; None if the catalogue does not have the model.

    The model is recognized by its server's address and its name there, its Hub id, its full name or its folder's name.
    Each name may lack the organization or have another, and may have the forms that ``served_names`` knows.
    """
    entries = models()
    for entry in entries.values():
        # jina-embeddings-v3 is one model as weights and another at Jina's server, which has prompts of its own.
        if spec.url and (entry.model, urlsplit(entry.url).netloc) == (spec.model, urlsplit(spec.url).netloc):
            return entry
    known = _plain_names(entries)
    for name in filter(None, (spec.hub, spec.model, spec.name, spec.path)):
        for candidate in candidates(name):
            found = entries.get(known.get(candidate.name, ""))
            if found is not None and candidate.fits(found.parameters):
                return found
        # An alias of ours names a model without an organization, or a folder.
        short = PurePath(name).name if name == spec.path else name
        if short.casefold() in entries and short.casefold() not in OTHERS_NAMES:
            return entries[short.casefold()]
    return None


def _plain_names(entries: Mapping[str, ModelSpec]) -> dict[str, str]:
    """Return the forms of all names of models, with and without their organization -> alias."""
    aliases: dict[str, str] = {}
    for alias, entry in entries.items():
        # A word alone (potion) is too common to be looked for in the names of others.
        for name in filter(None, (entry.name, entry.hub, *(name for name in entry.aliases if "-" in name))):
            for form in (name, name.rpartition("/")[2]):
                aliases.setdefault(plain(form), alias)
    return aliases
