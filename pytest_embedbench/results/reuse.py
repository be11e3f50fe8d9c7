"""Keys of everything that a stored ranking depends on, and how a stored result differs from what is asked for now."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pytest_embedbench.errors import ResultError
from pytest_embedbench.machine.environment import installed
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.results.schema import Details, ModelRecord

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_embedbench.core.similarity import Similarity
    from pytest_embedbench.datasets.types import Dataset

SEARCH_LIBRARIES = ("numpy",)
"""Libraries that compute scores and their order from vectors."""

PLACES = frozenset({"path", "package", "package_folder", "package_extra", "hub", "revision"})
"""Keys of a definition that say where a model's files are: of these the fingerprint counts."""

MAX_CHANGES = 4
"""Differences that a message names."""


class Conditions(NamedTuple):
    """A pair and everything else that its ranking depends on."""

    model: NamedModel
    record: ModelRecord
    dataset: Dataset
    given: Dataset
    """The dataset with its documents as the model gets them (``NamedModel.as_given``)."""
    device: str
    dtype: str
    software: Mapping[str, str]
    """Versions of the libraries and values of the environment variables that decide the vectors."""
    similarity: Similarity | None = None
    """The similarity by which documents are ranked; None for a model without vectors."""

    @property
    def key(self) -> str:
        """The sha256 of all this; an equal key means that a stored ranking can be used again."""
        spec = self.record.spec
        return hash_parts(
            {
                "model": self.record.fingerprint,
                "settings": settings(spec),
                "prompts": tuple(self.model.prompts.values()),
                # The one in use: a checkpoint's own and the same one in a definition give the same ranking.
                "similarity": self.similarity,
                "dtype": self.dtype,
                # All other kinds compute the same on every device.
                "device": self.device if spec.kind == "sentence-transformers" else "",
                "dataset": self.given.fingerprint,
                "software": dict(self.software) | installed(SEARCH_LIBRARIES),
            }
        )


def settings(spec: ModelSpec) -> dict[str, Any]:
    """Return the keys of a definition that decide a model's numbers, without those that have their defaults.

    Keys that say where the files are, prompts and the similarity are left out: the files themselves, the prompts as the
    model gets them and the similarity in use count.
    """
    keys = (key for key in spec.deciding() if key not in {*PLACES, "similarity"} and not key.endswith("_prompt"))
    return {key: getattr(spec, key) for key in keys}


def refuse_to_replace(path: Path, stored: Details, now: Conditions, *, own_session: bool) -> None:
    """Refuse to write a result over that of another definition.

    The same definition with other settings, files or data replaces its earlier result (``changes`` says by what it
    differs), but never within one session, in which both are wanted.

    Raises:
        ResultError: the result at ``path`` is of another dataset or definition.
    """
    refuse_other_names(path, stored, now.record.name, now.dataset.name)
    here, there = now.record, stored.model
    if not own_session and (here.alias == there.alias or _definition(here) == _definition(there)):
        return
    problem = f"holds the result of {there.alias} on {stored.dataset.name}, which is another one"
    if differing := changes(stored, now):
        problem += f" ({', '.join(differing)})"
    fix = f'give one of them a name of its own: name = "..." in [models.{here.alias}], or another dataset\'s name'
    raise ResultError(problem, where=str(path), fix=f"{fix}; or choose another folder with --embed-results")


def refuse_other_names(path: Path, stored: Details, model: str, dataset: str) -> None:
    """Refuse to write over the result of another model or dataset whose file has the same name.

    Raises:
        ResultError: the result at ``path`` is of a model or dataset with another name.
    """
    if (stored.model.name, stored.dataset.name) != (model, dataset):
        problem = f"holds the result of {stored.model.name} on {stored.dataset.name}, and {model} on {dataset}"
        fix = "rename one of them in the suite, or choose another folder for the results"
        raise ResultError(f"{problem} would have the same file", where=str(path), fix=fix)


def changes(stored: Details, now: Conditions) -> list[str]:
    """Return what a stored result was measured with and what it would be now, e.g. ``query_prompt '' -> 'query: '``."""
    before, after = stored.model.spec.deciding(), now.record.spec.deciding()
    # Where the files are matters only where they are other files.
    same_files = stored.model.fingerprint == now.record.fingerprint
    found = [f"imported from {stored.origin}"] if stored.origin else []
    if stored.dataset.fingerprint != now.dataset.fingerprint:
        found.append("other data")
    found += [
        f"{key} {stored.model.spec.shown(key)} -> {now.record.spec.shown(key)}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key) and not (same_files and key in PLACES)
    ]
    if not same_files:
        found.append("other model files" if now.record.spec.kind == "sentence-transformers" else "another model")
    if now.dtype and stored.model.facts.dtype not in {"", now.dtype}:
        found.append(f"dtype {stored.model.facts.dtype} -> {now.dtype}")
    known = stored.environment.libraries if stored.environment else {}
    software = dict(now.software) | installed(SEARCH_LIBRARIES)
    found += [f"{name} {known[name]} -> {value}" for name, value in software.items() if known.get(name, value) != value]
    return [*found[:MAX_CHANGES], *(["..."] if len(found) > MAX_CHANGES else [])]


def _definition(record: ModelRecord) -> tuple[str, dict[str, Any]]:
    return record.fingerprint, {key: value for key, value in record.spec.deciding().items() if key not in PLACES}


def hash_parts(parts: object) -> str:
    """Return the sha256 of the parts as JSON, whatever the order of their keys."""
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
