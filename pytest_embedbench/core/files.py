"""Write files whole or not at all, and turn names into safe file names."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

PART_PREFIX, PART_SUFFIX = ".embedbench-", ".part"
"""Beginning and end of a temporary file's name. The target's own name in between could make it too long."""
MAX_PART_SECONDS = 3600
"""Seconds after which a temporary file is one of a process that was killed: writing one takes seconds."""


def write_atomically(path: Path, content: str) -> None:
    """Write a UTF-8 text file so that a killed process leaves the old file or the new one, never a part.

    The folder is created if it does not exist. Temporary files that killed processes have left in it are removed.
    """
    write_together({path: content}, lambda: None)


def write_together(contents: Mapping[Path, str], before: Callable[[], None]) -> None:
    """Write files of one folder as ``write_atomically`` does, all of them or, where the disk is full, none.

    ``before`` is called when all are written, before the first has its name.
    """
    parts: dict[Path, str] = {}
    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            # Renaming is atomic only within one file system, so the temporary file lies beside the target.
            handle, parts[path] = tempfile.mkstemp(dir=path.parent, prefix=PART_PREFIX, suffix=PART_SUFFIX)
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(content)
                file.flush()
                # Otherwise some file systems, after a crash, have the new name on an empty file.
                os.fsync(file.fileno())
                now = os.fstat(file.fileno()).st_mtime
            os.chmod(parts[path], 0o644)  # noqa: PTH101 - mkstemp creates files that only their owner can read
        before()
        for path, part in parts.items():
            os.replace(part, path)  # noqa: PTH105
    except BaseException:  # also Ctrl-C: nobody else would remove the temporary files
        for part in parts.values():
            with suppress(FileNotFoundError):  # it has its name already
                os.unlink(part)  # noqa: PTH108
        raise
    for folder in {path.parent for path in contents}:
        with suppress(OSError):  # one in which this user may write, but not look
            _remove_old_parts(folder, now)


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


def is_folder(path: Traversable) -> bool:
    """Whether there is such a folder; False too where no file can have this name, e.g. one of 5,000 characters."""
    return _holds(path.is_dir)


def is_file(path: Traversable) -> bool:
    """Whether there is such a file; False too where no file can have this name."""
    return _holds(path.is_file)


def exists(path: Path) -> bool:
    """Whether there is such a file or folder; False too where no file can have this name."""
    return _holds(path.exists)


def _holds(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except (OSError, ValueError):
        return False


LFS_POINTER = "version https://git-lfs.github.com/spec/"
"""Beginning of the text file that stands for a large file in a repository whose large files were not fetched."""

MAX_NAME_BYTES = 120
"""Bytes of a file name's beginning; endings are added to it, and file systems allow 255 bytes."""

DIGEST_DIGITS = 16
"""Hexadecimal digits that stand for the end of a name that is too long."""

RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9]|model_meta)(?=\.|$)", re.IGNORECASE)
"""Names of devices on Windows, whatever their ending; and that of MTEB's file about a model."""


def file_name(name: str) -> str:
    """Return a name as one folder or file name: ``org/model`` becomes ``org__model``.

    The result never leads out of its folder: it holds no separator and does not begin with a dot. It is fit for every
    file system: not too long, and none of the names that Windows keeps for itself. Different names may become the same;
    ``file_key`` tells whether two of them do.
    """
    safe = re.sub(r"[^\w.@=+-]", "_", name.replace("/", "__")).lstrip(".") or "_"
    if safe.endswith("."):  # Windows drops it
        safe = f"{safe.rstrip('.')}_"
    safe = RESERVED.sub(r"\1_", safe, count=1) if RESERVED.match(safe) else safe
    if len(safe.encode()) <= MAX_NAME_BYTES:
        return safe
    # Cut as bytes, as file systems count; a character that is cut in two is dropped.
    start = safe.encode()[: MAX_NAME_BYTES - DIGEST_DIGITS - 1].decode(errors="ignore")
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{start}-{digest[:DIGEST_DIGITS]}"


def file_key(name: str) -> str:
    """Return what two names share that become one file, on file systems that ignore case and composed letters too."""
    return unicodedata.normalize("NFC", file_name(name)).casefold()


def distinct_file_name(name: str) -> str:
    """Return a name as a file name that no other name has, also where case is ignored: with a digest if need be."""
    plain = file_name(name)
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return plain if plain == name.casefold() else f"{plain}-{digest[:DIGEST_DIGITS]}"


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
