"""Keep load profiles alone on their device: one lock for each device of this machine, across processes and users.

Only what measures a load takes these locks, each exclusively: two profiles never run at the same time, but nothing else
waits for one. Among the workers of one session of pytest-xdist there is a second lock for each device, which everything
holds: what measures exclusively, the rest shared.

Each lock is two files. An item that waits for exclusive access holds the first, the gate, while it waits for the
second, so that new items cannot overtake it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pytest_embedbench.core.locks import machine_locked


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

    Raises:
        LockError: the file of a lock can be neither made nor opened.
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
    safe = re.sub(r"[^\w.-]", "-", name)
    gate, room = f"{safe}.gate", f"{safe}.room"
    if alone:
        with machine_locked(gate, what, folder=folder), machine_locked(room, what, folder=folder):
            yield
        return
    with ExitStack() as held:
        # The gate is only passed through: it stays closed while another process waits for the room exclusively.
        with machine_locked(gate, what, folder=folder):
            held.enter_context(machine_locked(room, what, shared=True, folder=folder))
        yield
