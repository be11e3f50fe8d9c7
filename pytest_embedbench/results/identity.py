"""What decides a ranking: while none of it changes, what is stored is used again."""

from __future__ import annotations

import hashlib

import msgspec

from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.machine.environment import ranking_libraries
from pytest_embedbench.models.source import locate
from pytest_embedbench.models.spec import NamedModel
from pytest_embedbench.results.schema import ModelRecord


def model_record(model: NamedModel) -> ModelRecord:
    """What a result says of a model before it is loaded.

    Raises:
        ModelError: its files are not to be had.
    """
    source = locate(model.base)
    return ModelRecord(
        name=model.name, alias=model.alias, revision=source.revision, fingerprint=source.fingerprint, spec=model.spec
    )


def result_key(model: NamedModel, record: ModelRecord, dataset: Dataset, *, device: str, dtype: str) -> str:
    """What a pair's ranking depends on."""
    spec = record.spec
    return key(
        {
            "model": record.fingerprint,
            "prompts": tuple(model.prompts.values()),
            "max_seq_length": spec.max_seq_length,
            "variant": str(spec.variant),
            "dtype": dtype,
            "device": device if spec.kind == "sentence-transformers" else "",
            "dataset": dataset.fingerprint,
            "libraries": ranking_libraries(),
        }
    )


def key(parts: object) -> str:
    """The sha256 of everything that something depends on."""
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
