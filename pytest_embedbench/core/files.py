"""Write files whole or not at all, and turn names into safe file names."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

PART_PREFIX, PART_SUFFIX = ".embedbench-", ".part"
"""Beginning and end of a temporary file's name. The target's own name in between could make it too long."""
MAX_PART_SECONDS = 3600
"""Seconds after which a temporary file is one of a process that was killed: writing one takes seconds."""


def write_atomically(path: Path, content: str) -> None:
    """Write a UTF-8 text file so that a killed process leaves the old file or the new one, never a part.

    The folder is created if it does not exist. Temporary files that killed processes have left in it are removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Renaming is atomic only within one file system, so the temporary file lies beside the target.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=PART_PREFIX, suffix=PART_SUFFIX)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(content)
            file.flush()
            # Otherwise some file systems, after a crash, have the new name on an empty file.
            os.fsync(file.fileno())
            now = os.fstat(file.fileno()).st_mtime
        os.chmod(temporary, 0o644)  # noqa: PTH101 - mkstemp creates files that only their owner can read
        os.replace(temporary, path)  # noqa: PTH105
        _remove_old_parts(path.parent, now)
    except BaseException:  # also Ctrl-C: nobody else would remove the temporary file
        os.unlink(temporary)  # noqa: PTH108
        raise


def _remove_old_parts(folder: Path, now: float) -> None:
    """Remove the temporary files of this package that nobody has written to for ``MAX_PART_SECONDS``.

    ``now`` is the time by the clock of the file system, which may be another machine's.
    """
    with os.scandir(folder) as entries:
        parts = [entry for entry in entries if entry.name.startswith(PART_PREFIX) and entry.name.endswith(PART_SUFFIX)]
    for part in parts:
        with suppress(OSError):  # another process has removed it, or it is somebody else's
            if now - part.stat(follow_symlinks=False).st_mtime > MAX_PART_SECONDS:
                os.unlink(part.path)  # noqa: PTH108


def user_path(text: str, folder: Path) -> Path:
    """Return the absolute path that a user wrote, links resolved: ``~`` is the home folder, ``folder`` where it begins.

    Never raises: a path that no file can have is returned as it is, and not found afterwards.
    """
    # os.path rather than pathlib, which raises for a user that does not exist and for links in a circle.
    path = os.path.join(folder, os.path.expanduser(text))  # noqa: PTH111, PTH118
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # a null character
        return Path(path)


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; False too where no file can have this name, e.g. one of 5,000 characters."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; False too where no file can have this name."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def file_name(name: str) -> str:
    """Return a name as one folder or file name: ``org/model`` becomes ``org__model``.

    The result never leads out of its folder: it holds no separator and does not begin with a dot.
    """
    return re.sub(r"[^\w.@=+-]", "_", name.replace("/", "__")).lstrip(".") or "_"


def path_digest(path: Path) -> str:
    """Return 32 hexadecimal digits that stand for a path in another file's name, e.g. that of a lock."""
    return hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:32]


def files_below(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    """Yield the files in a folder and below it whose path ends as one of the patterns says; links are followed.

    Args:
        folder: where to look; a folder that cannot be read counts as empty.
        patterns: ``*.json`` for files in any folder, ``*/*.json`` for those in folders below only.
    """
    # Path.rglob() does not go through links to folders, but whoever opens a file by its path does.
    yield from _files_below(folder, folder, patterns, frozenset())


def _files_below(root: Path, folder: Path, patterns: Sequence[str], around: frozenset[str]) -> Iterator[Path]:
    here = os.path.realpath(folder)
    if here in around:  # a link to a folder that it lies in
        return
    try:
        entries = list(folder.iterdir())
    except OSError:
        return
    for path in entries:
        if path.is_dir():
            yield from _files_below(root, path, patterns, around | {here})
        elif path.is_file() and any(path.relative_to(root).match(pattern) for pattern in patterns):
            yield path
