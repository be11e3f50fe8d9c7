"""Files of the Hugging Face Hub: models' and datasets' alike, at a revision, checked, in the Hub's own cache.

What the Hub's client (huggingface_hub) reads from the environment holds here too: ``HF_HOME`` and ``HF_HUB_CACHE`` for
the cache, ``HF_TOKEN``, ``HF_ENDPOINT``, and ``HF_HUB_OFFLINE``, which ``--embed-offline`` sets for its session.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple

from pytest_embedbench.errors import EmbedbenchError

Kind = Literal["model", "dataset"]

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
"""Environment variables that keep the Hub's client from the network."""

SHA256, SHA1 = 64, 40
"""Digits of a digest, in hexadecimal."""


class HubError(EmbedbenchError):
    """A repository's files are not to be had, or are not what the Hub says; the message ends with what to do."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem}\n  fix: {fix}")


class Snapshot(NamedTuple):
    """A repository's files at one commit. ``sha256`` has the digests of those that were checked with one, by path."""

    folder: Path
    revision: str
    sha256: dict[Path, bytes]


def offline() -> bool:
    """May the Hub not be asked? As the Hub's own client reads its variables."""
    return any(os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"} for name in OFFLINE)


def snapshot(repository: str, *, kind: Kind, revision: str = "", patterns: Sequence[str]) -> Snapshot:
    """The files that match the patterns, downloaded where they are not in the cache, each compared with its digest.

    Args:
        repository: ``org/name``.
        kind: what the repository holds.
        revision: a commit, tag or branch; absent: the newest commit of the main branch.
        patterns: of paths, ``*`` matches ``/`` too; nothing else is downloaded.

    Returns:
        The folder with the files, and the commit that the revision means.

    Raises:
        HubError: the files are not to be had, or one does not have the digest that the Hub says it has.
    """
    found = _fetch(repository, kind, revision, patterns, local=offline())
    return found._replace(sha256=_verified(found.folder, patterns, _called(repository, revision)))


def find(repository: str, *, kind: Kind, revision: str = "", patterns: Sequence[str]) -> Snapshot:
    """The same, from the cache alone, and nothing is read: to know whether the files are there.

    Raises:
        HubError: they are not.
    """
    return _fetch(repository, kind, revision, patterns, local=True)


def _called(repository: str, revision: str) -> str:
    return f"{repository}@{revision}" if revision else repository


def _fetch(repository: str, kind: Kind, revision: str, patterns: Sequence[str], *, local: bool) -> Snapshot:
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            repository,
            repo_type=kind,
            revision=revision or None,
            allow_patterns=list(patterns),
            local_files_only=local,
        )
    except Exception as error:  # noqa: BLE001 - the Hub's client raises many kinds; each means: not to be had
        raise _explained(error, repository, kind, revision, local=local) from None
    return Snapshot(Path(folder), Path(folder).name, {})


def _explained(error: Exception, repository: str, kind: Kind, revision: str, *, local: bool) -> HubError:
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    page = "/".join([constants.ENDPOINT, *(["datasets"] if kind == "dataset" else []), repository])
    status = error.response.status_code if isinstance(error, HfHubHTTPError) else 0
    if isinstance(error, GatedRepoError) or status == 403:  # noqa: PLR2004 - Forbidden
        return HubError(f"{repository} is gated", f"accept its terms at {page} and set HF_TOKEN to a token of yours")
    if isinstance(error, RevisionNotFoundError):
        return HubError(f"{repository} has no revision {revision!r}", f"choose one of {page}/commits/main")
    if isinstance(error, RepositoryNotFoundError):
        fix = f"check its name at {page}; for a private one set HF_TOKEN to a token that may read it"
        return HubError(f"the Hub has no {kind} {repository}, or it is private", fix)
    cause = _redacted(": ".join([type(error).__name__, *str(error).splitlines()[:1]]))
    expected = local and isinstance(error, LocalEntryNotFoundError)
    reason = "the session is offline" if expected else f"could not be downloaded ({cause})"
    problem = f"{_called(repository, revision)} is not in the local Hub cache and {reason}"
    options = (" --repo-type dataset" if kind == "dataset" else "") + (f" --revision {revision}" if revision else "")
    return HubError(problem, f"connect to the Hub once (hf download {repository}{options})")


def _redacted(text: str) -> str:
    from huggingface_hub import get_token

    from pytest_embedbench.remote.secret import Secret

    return Secret(get_token() or "").redacted(text)


def _verified(folder: Path, patterns: Sequence[str], name: str) -> dict[Path, bytes]:
    """Compare each file with its digest, which the Hub told before the file came; the sha256 of large ones, by path.

    The Hub's cache keeps contents under these names: the sha256 of what is in large-file storage, and git's own id
    (sha1) of other files. A cache on a file system without links has no such names, and nothing to compare with. A
    file that fails is removed, so that it is downloaded again.

    Raises:
        HubError: a file has another digest.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).as_posix()
        wanted = path.readlink().name if path.is_symlink() and path.is_file() else ""
        if len(wanted) not in {SHA256, SHA1} or not any(fnmatchcase(inside, pattern) for pattern in patterns):
            continue
        digest = _digest(path, git=len(wanted) == SHA1)
        if digest.hex() != wanted:
            for damaged in (path.resolve(), path.parent / path.readlink(), path):
                with suppress(OSError):
                    damaged.unlink(missing_ok=True)
            problem = f"{name}: {inside} has the digest {digest.hex()}, and the Hub says {wanted}"
            raise HubError(problem, "run again with a connection: the damaged file is gone, and is downloaded anew")
        if len(wanted) == SHA256:
            found[path] = digest
    return found


def _digest(path: Path, *, git: bool) -> bytes:
    """sha256 of the file, or the id of its git blob: sha1 over ``blob``, its size, a zero byte and its content."""
    with path.open("rb") as file:
        if not git:
            return hashlib.file_digest(file, "sha256").digest()
        # Not for security: it is the name that git gives.
        blob = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
        return hashlib.file_digest(file, lambda: blob).digest()
