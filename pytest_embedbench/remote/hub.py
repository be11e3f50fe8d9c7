"""Files of models and datasets on the Hugging Face Hub, at a revision, verified, in the Hub's own cache.

The environment variables of the Hub's client (huggingface_hub) apply: ``HF_HOME`` and ``HF_HUB_CACHE`` for the cache,
``HF_TOKEN``, ``HF_ENDPOINT``, and ``HF_HUB_OFFLINE``, which ``--embed-offline`` sets for its session.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from http import HTTPStatus
from pathlib import Path
from typing import Literal, NamedTuple

from pytest_embedbench.errors import EmbedbenchError
from pytest_embedbench.remote.hub_compat import hub_address

RepositoryKind = Literal["model", "dataset"]

HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+")
"""``org/name``, the id of a repository."""

OFFLINE_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
"""Environment variables that keep the Hub's client from the network."""

SHA256_DIGITS, SHA1_DIGITS = 64, 40
"""Hexadecimal digits of a digest."""


class HubError(EmbedbenchError):
    """The files of a repository cannot be downloaded, or are not what the Hub says they are."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem, fix=fix)


class Snapshot(NamedTuple):
    """A repository's files at one commit."""

    folder: Path
    revision: str
    """The commit."""
    sha256: dict[Path, bytes]
    """Path -> digest, of the files that were verified by their sha256."""


def offline() -> bool:
    """Whether the environment forbids access to the Hub; the variables are read as the Hub's own client reads them."""
    return any(os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"} for name in OFFLINE_VARIABLES)


def snapshot(repository: str, *, kind: RepositoryKind, revision: str = "", patterns: Sequence[str]) -> Snapshot:
    """Return the files that match the patterns, downloaded if they are not in the cache, and verified.

    Args:
        repository: ``org/name``.
        kind: what the repository holds.
        revision: a commit, tag or branch; "" for the newest commit of the main branch.
        patterns: patterns of paths, in which ``*`` also matches ``/``; nothing else is downloaded.

    Raises:
        HubError: the files are not available, or a file does not have the digest that the Hub names.
    """
    fetched = _fetch(repository, kind, revision, patterns, local=offline())
    return fetched._replace(sha256=_verify(fetched.folder, patterns, _repository_name(repository, revision)))


def find_cached(repository: str, *, kind: RepositoryKind, revision: str = "", patterns: Sequence[str]) -> Snapshot:
    """Return the files as ``snapshot`` does, from the cache alone and without reading them: a check that they exist.

    Raises:
        HubError: the cache does not have the files.
    """
    return _fetch(repository, kind, revision, patterns, local=True)


def _repository_name(repository: str, revision: str) -> str:
    return f"{repository}@{revision}" if revision else repository


def _fetch(repository: str, kind: RepositoryKind, revision: str, patterns: Sequence[str], *, local: bool) -> Snapshot:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            repository,
            repo_type=kind,
            revision=revision or None,
            allow_patterns=list(patterns),
            local_files_only=local,
        )
    except Exception as error:  # noqa: BLE001 - the Hub's client raises many kinds, all for one reason: no files
        raise _error(error, repository, kind, revision, local=local) from None
    # The cache names the folder of a snapshot after its commit.
    return Snapshot(Path(folder), Path(folder).name, {})


def _error(error: Exception, repository: str, kind: RepositoryKind, revision: str, *, local: bool) -> HubError:
    """Return an error that explains why the Hub's client has no files, and what to do about it."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = "/".join([hub_address(), *(["datasets"] if kind == "dataset" else []), repository])
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if isinstance(error, GatedRepoError) or status == HTTPStatus.FORBIDDEN:
        return HubError(f"{repository} is gated", f"accept its terms at {page} and set HF_TOKEN to a token of yours")
    if isinstance(error, RevisionNotFoundError):
        return HubError(f"{repository} has no revision {revision!r}", f"choose one of {page}/commits/main")
    if isinstance(error, RepositoryNotFoundError):
        fix = f"check its name at {page}; for a private one set HF_TOKEN to a token that may read it"
        return HubError(f"the Hub has no {kind} {repository}, or it is private", fix)
    # The messages of lower layers (httpx, urllib) are not ours, and could hold the user's token.
    cause = _redacted(": ".join([type(error).__name__, *str(error).splitlines()[:1]]))
    expected = local and isinstance(error, LocalEntryNotFoundError)
    reason = "the session is offline" if expected else f"could not be downloaded ({cause})"
    problem = f"{_repository_name(repository, revision)} is not in the local Hub cache and {reason}"
    options = (" --repo-type dataset" if kind == "dataset" else "") + (f" --revision {revision}" if revision else "")
    return HubError(problem, f"connect to the Hub once (hf download {repository}{options})")


def _redacted(text: str) -> str:
    from huggingface_hub import get_token

    from pytest_embedbench.remote.secret import Secret

    return Secret(get_token() or "").redacted(text)


def _verify(folder: Path, patterns: Sequence[str], name: str) -> dict[Path, bytes]:
    """Compare each file with the digest that the Hub named before the download; return the sha256 of large files.

    In the Hub's cache, files are links to contents that are named by their digest: the sha256 for large-file storage,
    git's own id (sha1) for other files. On file systems without links there are no such names, so nothing is compared.
    A file that fails is removed, so that the next session downloads it again.

    Raises:
        HubError: a file has another digest.
    """
    digests = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).as_posix()
        expected = path.readlink().name if path.is_symlink() and path.is_file() else ""
        if len(expected) not in {SHA256_DIGITS, SHA1_DIGITS}:
            continue
        if not any(fnmatchcase(inside, pattern) for pattern in patterns):
            continue
        digest = _digest(path, git=len(expected) == SHA1_DIGITS)
        if digest.hex() != expected:
            # The content, a link between if there is one, and the file's own link.
            for damaged in (path.resolve(), path.parent / path.readlink(), path):
                with suppress(OSError):
                    damaged.unlink(missing_ok=True)
            problem = f"{name}: {inside} has the digest {digest.hex()}, and the Hub says {expected}"
            raise HubError(problem, "run again with a connection: the damaged file is gone, and is downloaded anew")
        if len(expected) == SHA256_DIGITS:
            digests[path] = digest
    return digests


def _digest(path: Path, *, git: bool) -> bytes:
    """Return the sha256 of a file, or its id in git: sha1 over ``blob``, its size, a zero byte and its content."""
    with path.open("rb") as file:
        if not git:
            return hashlib.file_digest(file, "sha256").digest()
        # Not for security: git names its blobs like this.
        blob = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        return hashlib.file_digest(file, lambda: blob).digest()
