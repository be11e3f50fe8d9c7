"""Keep judgments in a file that grows line by line and survives a killed process."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path

import msgspec

from pytest_embedbench.core.decoding import DecodingError, decode_json
from pytest_embedbench.core.files import path_digest
from pytest_embedbench.core.locks import LockTimeoutError, machine_locked
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.rating.files import read_judgments
from pytest_embedbench.rating.judgments import Judgment

BEGINNING = b'{"dataset":'
"""Start of every line that this module writes; a half-written line is recognized by it."""

QuestionKey = tuple[str, str, str, str]
"""Dataset, query id, model a, model b."""


def question_key(judgment: Judgment) -> QuestionKey:
    """Return the key by which a question is found again in the log."""
    return judgment.dataset, judgment.query_id, judgment.model_a, judgment.model_b


class JudgmentLog:
    """Judgments of one judge: those of the file, and those added since, each on disk before the next."""

    def __init__(self, file: FileIO, judgments: list[Judgment]) -> None:
        self.judgments = judgments
        self._file = file

    def append(self, judgment: Judgment) -> None:
        """Add a judgment; it is on disk when this returns.

        Raises:
            ConfigurationError: the judgment cannot be written; earlier ones stay in the file.
        """
        line = msgspec.json.encode(judgment) + b"\n"
        try:
            written = self._file.write(line)
            os.fsync(self._file.fileno())  # a judgment costs money: it must survive a crash of the machine
        except OSError as error:
            raise _unwritable(Path(str(self._file.name)), error) from None
        if written != len(line):  # a full disk may take a part without an error
            raise _unwritable(Path(str(self._file.name)), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        self.judgments.append(judgment)


@contextmanager
def open_log(path: Path, judge: str) -> Iterator[JudgmentLog]:
    """Open a file of judgments by ``judge`` to continue it, or begin one; a half-written last line is removed.

    Raises:
        ConfigurationError: the file holds judgments of another judge, cannot be read, or is in use.
        LockError: it cannot be locked.
    """
    # In the temporary folder, so that no lock file is left beside the judgments.
    lock = f"judge-{path_digest(path)}.lock"
    with ExitStack() as held:
        try:
            held.enter_context(machine_locked(lock, "another judge", seconds=0))
        except LockTimeoutError:
            raise ConfigurationError(str(path), "another process is writing to it", "wait until it has ended") from None
        judgments = _read_log(path, judge)
        yield JudgmentLog(held.enter_context(_open_to_append(path)), judgments)


def _read_log(path: Path, judge: str) -> list[Judgment]:
    judgments = read_judgments([path]) if _repair_end(path) else []
    for judgment in judgments:
        if judgment.judge != judge:
            problem = f"holds judgments of {judgment.judge or 'an unnamed judge'!r}, not of {judge!r}"
            raise ConfigurationError(str(path), problem, "use the same settings, or another file")
    return judgments


def _open_to_append(path: Path) -> FileIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab", buffering=0)  # unbuffered: a killed process loses at most the line it is writing
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(str(path), f"cannot be written: {error.strerror}", "make room, or choose another file")


def _repair_end(path: Path) -> bool:
    """Make the file end with a whole line; return whether it has any lines."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigurationError(str(path), f"cannot be read: {error.strerror}") from None
    end = content.rfind(b"\n") + 1
    last = content[end:]
    if last.startswith(BEGINNING[: len(last)]) and last:  # a line of this module; any other file is left as it is
        try:
            decode_json(last, Judgment)
        except DecodingError:
            os.truncate(path, end)  # the writing process was killed in the middle of it
            content = content[:end]
        else:
            with _open_to_append(path) as file:
                file.write(b"\n")
    return bool(content.strip())
