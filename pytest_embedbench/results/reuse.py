"""Compute keys of everything that a stored ranking depends on; an equal key means that it can be reused."""

from __future__ import annotations

import hashlib

import msgspec

from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.machine.environment import ranking_libraries
from pytest_embedbench.models.spec import NamedModel
from pytest_embedbench.results.schema import ModelRecord


def result_key(model: NamedModel, record: ModelRecord, dataset: Dataset, *, device: str, dtype: str) -> str:
    """Return the key of a pair's ranking."""
    spec = record.spec
    return hash_parts(
        {
            "model": record.fingerprint,
            "prompts": tuple(model.prompts.values()),
            "max_seq_length": spec.max_seq_length,
            "variant": str(spec.variant),  # variants share the model's fingerprint
            "dtype": dtype,
            # All other kinds compute the same on every device.
            "device": device if spec.kind == "sentence-transformers" else "",
            "dataset": dataset.fingerprint,
            "libraries": ranking_libraries(),
        }
    )


def hash_parts(parts: object) -> str:
    """Return the sha256 of the parts as JSON, whatever the order of their keys."""
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()
