"""Keep load profiles alone on their device: one lock for each device of this machine, across processes and users.

A test item holds the lock of each device that its session uses: exclusively where it measures a load, otherwise
shared. Each lock is two files. An item that waits for exclusive access holds the first, the gate, while it waits for
the second, so that new items cannot overtake it.

The operating system releases the locks of a killed process. The files, which are empty, are never removed: removing a
file that another process has open would make two locks of one. Where the system has no ``flock`` (Windows), shared
access is exclusive too.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def hold_devices(devices: Iterable[str], *, alone: bool) -> Iterator[None]:
    """Hold the locks of devices, given by torch's names, while the block runs.

    Locks are taken in the order of their names, so that no two processes wait for each other.

    Args:
        devices: names such as ``cpu`` or ``cuda:0``.
        alone: whether to hold them exclusively, rather than shared with others.
    """
    with ExitStack() as held:
        for name in sorted(set(map(physical_name, devices))):
            held.enter_context(hold_lock(name, alone=alone))
        yield


def physical_name(device: str) -> str:
    """Return a device's name that is the same in all processes.

    ``CUDA_VISIBLE_DEVICES`` renumbers the GPUs for one process.
    """
    kind, _, number = device.partition(":")
    if kind != "cuda" or not (number or "0").isdecimal():
        return device
    index = int(number or 0)
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return f"cuda:{visible[index]}" if index < len(visible) and visible[index] else f"cuda:{index}"


@contextmanager
def hold_lock(name: str, *, alone: bool, folder: Path | None = None) -> Iterator[None]:
    """Hold a lock of this machine while the block runs: exclusively (``alone``), or shared with others.

    Args:
        name: name of the lock.
        alone: whether to hold it exclusively.
        folder: folder of the lock's files; the system's temporary folder by default.
    """
    base = folder or Path(tempfile.gettempdir())
    safe = re.sub(r"[^\w.-]", "-", name)
    gate, room = base / f"embedbench-{safe}.gate", base / f"embedbench-{safe}.room"
    if alone:
        with _flock(gate, shared=False), _flock(room, shared=False):
            yield
        return
    with ExitStack() as held:
        # The gate is only passed through: it stays closed while another process waits for the room exclusively.
        with _flock(gate, shared=False):
            held.enter_context(_flock(room, shared=True))
        yield


@contextmanager
def _flock(path: Path, *, shared: bool) -> Iterator[None]:
    if fcntl is None:  # pragma: no cover - Windows
        from filelock import FileLock

        with FileLock(path):
            yield
        return
    handle = _open(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        # Unlock before closing: a child process forked meanwhile has the file open too, and would keep the lock.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _open(path: Path) -> int:
    """Open the file for reading only: a lock needs no more, and the file may belong to another user."""
    try:
        # Without O_CREAT at first: in /tmp, Linux refuses it for a file of another user (fs.protected_regular).
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
