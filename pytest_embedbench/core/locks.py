"""Locks between processes of this machine, of all users, whose waits are shown.

A lock is an empty file that is locked by the operating system, which releases the locks of a killed process. Whoever
holds a lock alone removes its file when done; whoever takes one looks whether its file is still the one of that name.
So no files pile up, except those of killed processes, which ``remove_old_locks`` removes.

Where the system has no ``flock`` (Windows), the library filelock stands in: shared access is exclusive there, and files
stay.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pytest_embedbench.core.waits import waiting_for
from pytest_embedbench.errors import EmbedbenchError

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

POLL_SECONDS = 0.1
"""Seconds between two attempts to take a lock."""
PREFIX = "embedbench-"
"""Beginning of the names of lock files in the system's temporary folder."""
SUFFIXES = (".lock", ".gate", ".room")
"""Endings of their names."""
MAX_AGE_SECONDS = 86_400
"""Seconds after which a lock file that nobody holds is one of a process that was killed."""


class LockTimeoutError(TimeoutError):
    """Another process holds a lock for longer than the caller waits."""


class LockError(EmbedbenchError):
    """A lock's file can be neither made nor opened; the message names it."""


@contextmanager
def machine_locked(
    name: str, what: str, *, shared: bool = False, seconds: float = math.inf, folder: Path | None = None
) -> Iterator[None]:
    """Hold a lock of this machine, whose file is in the system's temporary folder, while the block runs.

    Args:
        name: name of the lock, with one of ``SUFFIXES``; a file name.
        what: what is waited for, in words.
        shared: whether others may hold it too, as long as they share it.
        seconds: how long to wait at most.
        folder: folder of the file; the system's temporary folder by default.

    Raises:
        LockTimeoutError: another process has held it for so many ``seconds``.
        LockError: its file can be neither made nor opened.
    """
    path = (folder or Path(tempfile.gettempdir())) / f"{PREFIX}{name}"
    with ExitStack() as held:
        try:
            held.enter_context(file_locked(path, what, shared=shared, seconds=seconds))
        except LockTimeoutError:
            raise
        except OSError as error:
            fix = "have it removed by its owner, or choose a temporary folder of your own: TMPDIR=FOLDER"
            raise LockError(f"cannot be locked: {error.strerror}", where=str(path), fix=fix) from None
        yield


@contextmanager
def file_locked(path: Path, what: str, *, shared: bool = False, seconds: float = math.inf) -> Iterator[None]:
    """Hold a lock while the block runs; a wait for it is shown as one for ``what``.

    Args:
        path: the lock's file; its folder exists.
        what: what is waited for, in words.
        shared: whether others may hold it too, as long as they share it.
        seconds: how long to wait at most.

    Raises:
        LockTimeoutError: another process has held it for so many ``seconds``.
        OSError: the file can be neither made nor opened.
    """
    if fcntl is None:  # pragma: no cover - Windows
        with _library_lock(path, what, seconds):
            yield
        return
    handle = _taken(path, what, seconds, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
    try:
        yield
    finally:
        _release(path, handle)


def _taken(path: Path, what: str, seconds: float, operation: int) -> int:
    end = time.monotonic() + seconds
    with waiting_for(what) as still:
        while True:
            handle = _open(path)
            try:
                _wait(handle, operation, end, still)
                if _is_at(handle, path):
                    return handle
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)  # removed by its holder while this process waited: its lock is of no use


def _wait(handle: int, operation: int, end: float, still: Callable[[], None]) -> None:
    # Asked again and again, since a wait inside the system could not be shown.
    while not _flock(handle, operation):
        if time.monotonic() >= end:
            raise LockTimeoutError("the lock is held by another process")
        still()
        time.sleep(POLL_SECONDS)


def _release(path: Path, handle: int) -> None:
    # Only who holds it alone may remove the file: whoever waits for it then sees that it is gone.
    if _flock(handle, fcntl.LOCK_EX) and _is_at(handle, path):
        with suppress(OSError):  # in a folder of all users only its owner may
            path.unlink()
    # Unlock before closing: a child process forked meanwhile has the file open too, and would keep the lock.
    fcntl.flock(handle, fcntl.LOCK_UN)
    os.close(handle)


def _flock(handle: int, operation: int) -> bool:
    """Take the lock if it is free; return whether it was."""
    try:
        fcntl.flock(handle, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is still the one at this path."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


def _open(path: Path) -> int:
    """Open the file for reading only: a lock needs no more, and the file may belong to another user."""
    while True:
        try:
            # Without O_CREAT at first: in /tmp, Linux refuses it for a file of another user (fs.protected_regular).
            return os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            # Exclusively, for the same reason: another user may make the file in between.
            with suppress(FileExistsError):
                handle = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0o644)
                os.fchmod(handle, 0o644)  # whatever the umask: other users could not open it
                return handle


def remove_old_locks(folder: Path) -> None:
    """Remove the lock files that killed processes have left in the system's temporary folder."""
    if fcntl is None:  # pragma: no cover - Windows
        return
    with suppress(OSError), os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(PREFIX) and entry.name.endswith(SUFFIXES)]
        for path in (folder / name for name in names):
            # A file of another user, or one that another process removes at this moment.
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > MAX_AGE_SECONDS:
                    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
                    _release(path, handle)


@contextmanager
def _library_lock(path: Path, what: str, seconds: float) -> Iterator[None]:  # pragma: no cover - Windows
    from filelock import FileLock, Timeout

    lock, end = FileLock(path), time.monotonic() + seconds
    with waiting_for(what) as still:
        while True:
            try:
                lock.acquire(timeout=POLL_SECONDS, poll_interval=POLL_SECONDS / 2)
                break
            except Timeout:
                if time.monotonic() >= end:
                    raise LockTimeoutError("the lock is held by another process") from None
                still()
    try:
        yield
    finally:
        lock.release()
