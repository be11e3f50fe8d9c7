"""Keep load profiles alone on their device: one lock for each device of this machine, across processes and users.

Only what measures a load takes these locks, each exclusively: two profiles never run at the same time, but nothing else
waits for one. Among the workers of one session of pytest-xdist there is a second lock for each device, which everything
holds: what measures exclusively, the rest shared.

Each lock is two files. An item that waits for exclusive access holds the first, the gate, while it waits for the
second, so that new items cannot overtake it.

The operating system releases the locks of a killed process. The files, which are empty, are never removed: removing a
file that another process has open would make two locks of one. Where the system has no ``flock`` (Windows), shared
access is exclusive too.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pytest_embedbench.core.locks import POLL_SECONDS, file_locked
from pytest_embedbench.core.waits import waiting_for

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]


@contextmanager
def hold_devices(
    devices: Iterable[str], *, alone: bool, session: str = "", what: str = "another load profile on this machine"
) -> Iterator[None]:
    """Hold the locks of devices, given by torch's names, while the block runs.

    Locks are taken in the order of their names, so that no two processes wait for each other.

    Args:
        devices: names such as ``cpu`` or ``cuda:0``.
        alone: whether to hold them exclusively, rather than shared with others.
        session: the session whose locks they are; "" for those of the machine.
        what: what is waited for, in words.
    """
    with ExitStack() as held:
        for name in sorted(set(map(physical_name, devices))):
            held.enter_context(hold_lock(f"{name}-{session}" if session else name, alone=alone, what=what))
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
def hold_lock(name: str, *, alone: bool, what: str, folder: Path | None = None) -> Iterator[None]:
    """Hold a lock of this machine while the block runs: exclusively (``alone``), or shared with others.

    Args:
        name: name of the lock.
        alone: whether to hold it exclusively.
        what: what is waited for, in words.
        folder: folder of the lock's files; the system's temporary folder by default.
    """
    base = folder or Path(tempfile.gettempdir())
    safe = re.sub(r"[^\w.-]", "-", name)
    gate, room = base / f"embedbench-{safe}.gate", base / f"embedbench-{safe}.room"
    if alone:
        with _flock(gate, what, shared=False), _flock(room, what, shared=False):
            yield
        return
    with ExitStack() as held:
        # The gate is only passed through: it stays closed while another process waits for the room exclusively.
        with _flock(gate, what, shared=False):
            held.enter_context(_flock(room, what, shared=True))
        yield


@contextmanager
def _flock(path: Path, what: str, *, shared: bool) -> Iterator[None]:
    if fcntl is None:  # pragma: no cover - Windows
        with file_locked(path, what):
            yield
        return
    handle = _open(path)
    try:
        with waiting_for(what) as still:
            # Asked again and again, since a wait inside the system could not be shown.
            while not _taken(handle, shared=shared):
                still()
                time.sleep(POLL_SECONDS)
        yield
    finally:
        # Unlock before closing: a child process forked meanwhile has the file open too, and would keep the lock.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _taken(handle: int, *, shared: bool) -> bool:
    """Take the lock if it is free; return whether it was."""
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(path: Path) -> int:
    """Open the file for reading only: a lock needs no more, and the file may belong to another user."""
    try:
        # Without O_CREAT at first: in /tmp, Linux refuses it for a file of another user (fs.protected_regular).
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
