"""Open a dataset's files: in a folder, or in a zip archive, which is read without unpacking it."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources.abc import Traversable
from lzma import LZMAError
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, cast

from pytest_embedbench.core.unpacking import UNPACK_ERRORS, TooLargeError, check_unpacked, open_gzip
from pytest_embedbench.errors import DatasetError

ZIP_ERRORS = (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, UnicodeError, struct.error, LZMAError)
"""Errors of reading a damaged archive: NotImplementedError for versions and methods that zipfile does not know."""

MAX_DEPTH = 3
"""Levels of folders below a dataset's own that its files may lie in: ``data/corpus/part.parquet`` is two deep."""


def open_root(path: Path) -> Traversable:
    """Return the folder with a dataset's files: ``path``, or for an archive its only top folder, else its root.

    Raises:
        DatasetError: the file is not a zip archive, is encrypted, or has a member outside its folder.
    """
    if path.suffix.casefold() != ".zip":
        return path
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise DatasetError("no such file", where=str(path), fix="give a BEIR folder or a .zip of one") from None
    except ZIP_ERRORS as error:
        raise DatasetError(f"cannot be read as a zip archive: {error}", where=str(path)) from None
    for member in archive.infolist():
        _refuse_unsafe_member(path, member)
    try:
        # zipfile reads no more of a member than its declared size, so the declared sizes are bounds.
        check_unpacked(sum(member.file_size for member in archive.infolist()), path.stat().st_size)
    except TooLargeError as error:
        raise DatasetError(str(error), where=str(path), fix=error.FIX) from None
    root = cast("Traversable", zipfile.Path(archive))
    entries = [entry for entry in root.iterdir() if not _is_hidden(entry.name)]
    return entries[0] if len(entries) == 1 and entries[0].is_dir() else root


def _refuse_unsafe_member(path: Path, member: zipfile.ZipInfo) -> None:
    """Refuse members outside the archive's folder ("zip slip"), links and encrypted ones.

    Nothing is unpacked here, but whoever unpacks the archive later would be harmed by the first two.
    """
    name = member.filename
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    where = str(path)
    if posix.is_absolute() or windows.anchor or ".." in windows.parts:
        raise DatasetError(f"its member {name!r} leaves the archive's folder, so the archive is refused", where=where)
    if stat.S_ISLNK(member.external_attr >> 16):  # the upper half is the file's mode on Unix
        raise DatasetError(f"its member {name!r} is a symbolic link, so the archive is refused", where=where)
    if member.flag_bits & 1:
        fix = "unpack the archive and give the folder"
        raise DatasetError(f"its member {name!r} is encrypted", where=where, fix=fix)


def walk(root: Traversable, depth: int = MAX_DEPTH, above: str = "") -> Iterator[tuple[str, Traversable]]:
    """Yield the files below a folder, with their relative paths (``qrels/test.tsv``), sorted; hidden ones are skipped.

    Args:
        root: the folder.
        depth: levels of folders below it that are entered.
        above: what the relative paths start with.
    """
    for entry in sorted(root.iterdir(), key=lambda entry: entry.name):
        if _is_hidden(entry.name):
            continue
        name = above + entry.name
        if entry.is_file():
            yield name, entry
        elif depth > 0 and entry.is_dir():
            yield from walk(entry, depth - 1, f"{name}/")


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))  # macOS adds this folder to every archive


@contextmanager
def opened(file: Traversable) -> Iterator[IO[bytes]]:
    """Open a file's bytes for reading, those of a ``.gz`` unpacked.

    Raises:
        DatasetError: there is no such file, or reading it fails within the ``with`` block; names the file.
    """
    where = str(file)
    try:
        with file.open("rb") as raw:
            if file.name.endswith(".gz"):
                with open_gzip(raw, _size(file)) as unpacked:
                    yield unpacked
            else:
                yield raw
    except FileNotFoundError:
        raise DatasetError("no such file", where=where) from None
    except TooLargeError as error:
        raise DatasetError(str(error), where=where, fix=error.FIX) from None
    except (*ZIP_ERRORS, *UNPACK_ERRORS) as error:
        raise DatasetError(f"cannot be read: {error}", where=where) from None


def _size(file: Traversable) -> int:
    """Return the bytes that the file takes on disk; of a member of an archive, those that it takes unpacked."""
    if isinstance(file, zipfile.Path):
        return file.root.getinfo(file.at).file_size
    return Path(str(file)).stat().st_size


def lines(file: Traversable) -> Iterator[tuple[int, str]]:
    """Yield the non-blank lines of a UTF-8 file with their numbers, from 1.

    Raises:
        DatasetError: the file is missing, damaged or not UTF-8.
    """
    with opened(file) as content:
        for number, line in enumerate(content, 1):
            try:
                # Only the first line can start with a byte order mark, which editors on Windows write.
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                problem = f"not UTF-8 ({error.reason} at byte {error.start} of the line)"
                raise DatasetError(problem, where=f"{file}:{number}") from None
            if text.strip():
                yield number, text
