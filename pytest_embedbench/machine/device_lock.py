"""Keep load profiles alone on their device: one lock for each device of this machine, whoever's processes they are.

An item of work holds the lock of each device that its session uses: shared, or alone where it measures a load. Who
waits to be alone closes the gate first, so that new items cannot keep it waiting. The system releases what a killed
process held, so the lock's files, which are empty, stay: to remove one that others have open would make two locks of
it. Where the system has no ``flock`` (Windows), one exclusive lock serves for both.
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
    """Hold the devices, as torch names them; in one order for all, so that no two wait for each other."""
    with ExitStack() as held:
        for name in sorted(set(map(physical_name, devices))):
            held.enter_context(hold_lock(name, alone=alone))
        yield


def physical_name(device: str) -> str:
    """The device by the name that it has for all processes: ``CUDA_VISIBLE_DEVICES`` renumbers GPUs for one of them."""
    kind, _, number = device.partition(":")
    if kind != "cuda" or not (number or "0").isdecimal():
        return device
    index = int(number or 0)
    visible = [one.strip() for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return f"cuda:{visible[index]}" if index < len(visible) and visible[index] else f"cuda:{index}"


@contextmanager
def hold_lock(name: str, *, alone: bool, folder: Path | None = None) -> Iterator[None]:
    """Hold the room ``name`` of this machine: alone, or together with others that hold it shared."""
    base = folder or Path(tempfile.gettempdir())
    safe = re.sub(r"[^\w.-]", "-", name)
    gate, hall = base / f"embedbench-{safe}.gate", base / f"embedbench-{safe}.room"
    if alone:
        with _flock(gate, shared=False), _flock(hall, shared=False):
            yield
        return
    with ExitStack() as inside:
        with _flock(gate, shared=False):
            inside.enter_context(_flock(hall, shared=True))
        yield


@contextmanager
def _flock(path: Path, *, shared: bool) -> Iterator[None]:
    if fcntl is None:  # pragma: no cover - Windows
        from filelock import FileLock

        with FileLock(path):
            yield
        return
    handle = _opened(path)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        # A child that was forked meanwhile has the file open too: closing alone would leave the lock to it.
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _opened(path: Path) -> int:
    """The file, open for reading, which is all that a lock needs: another user may have made it."""
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
