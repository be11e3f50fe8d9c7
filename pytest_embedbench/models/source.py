"""Files of a checkpoint: their place on this machine, and their fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pytest_embedbench.core.decoding import DecodingError, decode_json
from pytest_embedbench.errors import ModelError, install_command
from pytest_embedbench.models.backend import backend_patterns
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.remote.hub import HubError, Snapshot, snapshot

WEIGHT_FILES = "*.safetensors"
MODEL_FILES = ("*.json", WEIGHT_FILES, "*.txt", "*.model")
"""Patterns of files that loading needs: configurations, vocabularies and safetensors; never pickles or code."""

SETTINGS_FILES = ("*.json", "*.txt", "*.model")
"""Patterns of a model's files other than weights."""

CHECKPOINT_DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
"""A checkpoint's name of a number format -> ours."""


def model_file_patterns(spec: ModelSpec) -> tuple[str, ...]:
    """Return patterns of the files that loading this model needs; with ``trust_remote_code``, its code too.

    A backend has its own files in place of the transformer's weights in the model's top folder. Weights in subfolders
    belong to the layers after the transformer, which every backend needs.
    """
    patterns: tuple[str, ...] = MODEL_FILES
    if spec.backend != "torch":
        own = backend_patterns(spec)
        patterns = (*(pattern for pattern in MODEL_FILES if pattern != WEIGHT_FILES), f"*/{WEIGHT_FILES}", *own)
    return (*patterns, "*.py") if spec.trust_remote_code else patterns


class ModelSource(NamedTuple):
    """The origin of a model; stored results are used again only for an equal fingerprint."""

    folder: Path | None
    """Folder of the model on this machine; None if it has none."""
    revision: str
    fingerprint: str
    """sha256 of the files that loading needs, or another digest that stands for the model's weights."""


def locate_checkpoint(model: NamedModel) -> ModelSource:
    """Return where the files of a checkpoint lie; they are downloaded from the Hub if need be.

    Raises:
        ModelError: the files are not here and cannot be downloaded; the message says how to get them.
    """
    patterns = model_file_patterns(model.spec)
    folder = model.folder()
    if folder is None:
        downloaded = _from_hub(model, patterns)
        fingerprint = fingerprint_folder(downloaded.folder, patterns, downloaded.sha256)
        return ModelSource(downloaded.folder, downloaded.revision, fingerprint)
    fingerprint = fingerprint_folder(folder, patterns)
    # A package has no revision of its own, so its files give one.
    revision = f"sha256-{fingerprint[:12]}" if model.spec.package else model.spec.revision
    return ModelSource(folder, revision, fingerprint)


def settings_folder(model: NamedModel) -> Path:
    """Return a sentence-transformers model's folder with settings and tokenizer, without fetching weights.

    Raises:
        ModelError: the files are not here and cannot be downloaded.
    """
    return model.folder() or _from_hub(model, SETTINGS_FILES).folder


def _from_hub(model: NamedModel, patterns: Sequence[str]) -> Snapshot:
    spec = model.spec
    try:
        return snapshot(spec.hub, kind="model", revision=spec.revision, patterns=patterns)
    except HubError as error:
        extra = f", or {install_command(spec.package_extra)}" if spec.package_extra else ""
        raise ModelError(f"{error}, or give a local folder{extra}", where=f"model {model.alias!r}") from None


def checkpoint_dtype(folder: Path) -> str:
    """Return the number format that a sentence-transformers checkpoint declares for its weights; empty if none."""
    try:
        modules = decode_json((folder / "modules.json").read_bytes(), list[dict[str, Any]])
        first = str(modules[0].get("path", "")) if modules else ""
    except (OSError, DecodingError):
        first = ""
    try:
        config = decode_json((folder / first / "config.json").read_bytes(), dict[str, Any])
    except (OSError, DecodingError):
        return ""
    # Newer releases of transformers write dtype, older ones torch_dtype.
    return CHECKPOINT_DTYPES.get(str(config.get("dtype") or config.get("torch_dtype")), "")


def fingerprint_folder(
    folder: Path, patterns: Sequence[str] = MODEL_FILES, known: Mapping[Path, bytes] = MappingProxyType({})
) -> str:
    """Return the sha256 of the names and contents of the files that match ``patterns``.

    ``known`` gives the sha256 of some files by path, so that these are not read again.
    """
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.rglob(pattern) if path.is_file()}):
        content = known.get(path) or _sha256(path)
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + content)
    return digest.hexdigest()


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
