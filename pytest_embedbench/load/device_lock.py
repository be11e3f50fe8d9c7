"""Keep load profiles alone on the machine when several pytest processes work side by side.

Every item holds the room shared; a profile holds it alone. Who waits to be alone closes the gate first, so that
new items cannot keep it waiting. Where the system has no ``flock`` (Windows), one exclusive lock serves for both.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def _flock(path: Path, *, shared: bool) -> Iterator[None]:
    if fcntl is None:  # pragma: no cover - Windows
        from filelock import FileLock

        with FileLock(path):
            yield
        return
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # closing releases the lock


def _files(name: str, folder: Path | None) -> tuple[Path, Path]:
    base = folder or Path(tempfile.gettempdir())
    return base / f"embedbench-{name}.gate", base / f"embedbench-{name}.room"


def tear_down(name: str, folder: Path | None = None) -> None:
    """Remove the room's files, once nobody uses it any more."""
    for path in _files(name, folder):
        path.unlink(missing_ok=True)


@contextmanager
def room(name: str, *, alone: bool, folder: Path | None = None) -> Iterator[None]:
    """Hold the room ``name`` of this machine: alone, or together with others that hold it shared."""
    gate, hall = _files(name, folder)
    if alone:
        with _flock(gate, shared=False), _flock(hall, shared=False):
            yield
        return
    entered = _flock(hall, shared=True)
    with _flock(gate, shared=False):
        entered.__enter__()
    try:
        yield
    finally:
        entered.__exit__(None, None, None)
