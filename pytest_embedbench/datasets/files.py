"""A dataset's files: in a folder, or in a zip archive, which is read without unpacking it."""

from __future__ import annotations

import gzip
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, cast

from pytest_embedbench.errors import DatasetError

DEPTH = 3
"""Folders below a dataset's own in which its files may lie: ``data/corpus/part.parquet``."""


def open_root(path: Path) -> Traversable:
    """The folder with a dataset's files: ``path`` itself, or the one top folder of the archive that it is.

    Raises:
        DatasetError: the archive is none, is encrypted, or has a member that would leave its folder.
    """
    if path.suffix.casefold() != ".zip":
        return path
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file; give a BEIR folder or a .zip of one") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path}: cannot be read as a zip archive: {error}") from None
    for member in archive.infolist():
        _refuse_escape(path, member)
    root = cast("Traversable", zipfile.Path(archive))
    inside = [entry for entry in root.iterdir() if not _is_hidden(entry.name)]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else root


def _refuse_escape(path: Path, member: zipfile.ZipInfo) -> None:
    name = member.filename
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if posix.is_absolute() or windows.anchor or ".." in windows.parts:
        raise DatasetError(f"{path}: its member {name!r} leaves the archive's folder, so the archive is refused")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise DatasetError(f"{path}: its member {name!r} is a symbolic link, so the archive is refused")
    if member.flag_bits & 1:
        raise DatasetError(f"{path}: its member {name!r} is encrypted; unpack the archive and give the folder")


def walk(root: Traversable, depth: int = DEPTH, above: str = "") -> Iterator[tuple[str, Traversable]]:
    """The files below a folder with their relative paths (``qrels/test.tsv``), in order; hidden ones are left out."""
    for entry in sorted(root.iterdir(), key=lambda entry: entry.name):
        if _is_hidden(entry.name):
            continue
        name = above + entry.name
        if entry.is_file():
            yield name, entry
        elif depth > 0 and entry.is_dir():
            yield from walk(entry, depth - 1, f"{name}/")


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


@contextmanager
def opened(file: Traversable) -> Iterator[IO[bytes]]:
    """The file's bytes, of a ``.gz`` the unpacked ones; what goes wrong while they are read is an error that names it.

    Raises:
        DatasetError: there is no such file, or it is damaged.
    """
    try:
        with file.open("rb") as raw:
            if file.name.endswith(".gz"):
                with gzip.open(raw, "rb") as unpacked:
                    yield cast("IO[bytes]", unpacked)
            else:
                yield raw
    except FileNotFoundError:
        raise DatasetError(f"{file}: no such file") from None
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DatasetError(f"{file}: cannot be read: {error}") from None


def lines(file: Traversable) -> Iterator[tuple[int, str]]:
    """Non-blank lines of a UTF-8 file with their numbers, from 1.

    Raises:
        DatasetError: the file is missing, damaged or not UTF-8.
    """
    with opened(file) as content:
        for number, line in enumerate(content, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                problem = f"not UTF-8 ({error.reason} at byte {error.start} of the line)"
                raise DatasetError(f"{file}:{number}: {problem}") from None
            if text.strip():
                yield number, text
