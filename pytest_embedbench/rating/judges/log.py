"""A file of judgments that grows line by line and survives a killed process."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.rating.files import read_judgments
from pytest_embedbench.rating.judgments import Judgment

BEGINNING = b'{"dataset":'
"""How each line of ours begins."""

Question = tuple[str, str, str, str]
"""dataset, query id, model a, model b."""


def question(judgment: Judgment) -> Question:
    return judgment.dataset, judgment.query_id, judgment.model_a, judgment.model_b


class JudgmentLog:
    """Judgments of one judge: those that the file held, and those added since, each on disk before the next."""

    def __init__(self, file: FileIO, kept: list[Judgment]) -> None:
        self.judgments = kept
        self._file = file

    def append(self, judgment: Judgment) -> None:
        """Add one, on disk when this returns.

        Raises:
            ConfigurationError: it cannot be written; what stands in the file stays.
        """
        line = msgspec.json.encode(judgment) + b"\n"
        try:
            written = self._file.write(line)
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(Path(str(self._file.name)), error) from None
        if written != len(line):
            raise _unwritable(Path(str(self._file.name)), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        self.judgments.append(judgment)


@contextmanager
def open_log(path: Path, judge: str) -> Iterator[JudgmentLog]:
    """Open a file of judgments by ``judge`` to go on with it, or begin one. A half-written last line is removed.

    Raises:
        ConfigurationError: the file holds judgments of another judge, cannot be read, or is in use.
    """
    name = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:32]
    lock = FileLock(Path(tempfile.gettempdir()) / f"embedbench-judge-{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigurationError(str(path), "another process is writing to it", "wait for it") from None
    try:
        kept = _kept(path, judge)
        with _opened(path) as file:
            yield JudgmentLog(file, kept)
    finally:
        lock.release()


def _kept(path: Path, judge: str) -> list[Judgment]:
    whole = _whole_lines(path)
    kept = read_judgments([path]) if whole else []
    for judgment in kept:
        if judgment.judge != judge:
            problem = f"holds judgments of {judgment.judge or 'an unnamed judge'!r}, not of {judge!r}"
            raise ConfigurationError(str(path), problem, "use the same settings, or another file")
    return kept


def _opened(path: Path) -> FileIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab", buffering=0)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(str(path), f"cannot be written: {error.strerror}", "make room, or choose another file")


def _whole_lines(path: Path) -> bool:
    """End the file with a whole line; does it hold any?"""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigurationError(str(path), f"cannot be read: {error.strerror}") from None
    end = content.rfind(b"\n") + 1
    last = content[end:]
    if last.startswith(BEGINNING[: len(last)]) and last:  # ours; any other file is left as it is
        try:
            msgspec.json.decode(last, type=Judgment)
        except (msgspec.DecodeError, UnicodeError):
            os.truncate(path, end)  # the writer was killed in the middle of it
            content = content[:end]
        else:
            with _opened(path) as file:
                file.write(b"\n")
    return bool(content.strip())
