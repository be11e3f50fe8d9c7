"""Work of others on this machine while something is measured: CPU time that neither this session nor its server used.

Linux tells it in /proc (proc(5)): the time of every processor, and that of every process with the children that it has
waited for. Other systems tell nothing here.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

MIN_SECONDS = 1.0
"""Seconds; the system counts in hundredths of a second, which say little over a shorter time."""

FORWARDERS = frozenset({"docker-proxy", "rootlessport", "slirp4netns", "pasta", "kubectl", "ssh", "sshd", "socat"})
"""Programs that listen for a server that runs elsewhere, often in a container on this machine."""

LISTENS = "0A"
"""State of a listening socket in /proc/net/tcp."""


class OtherWork(NamedTuple):
    """Work of others: cores that they kept busy (mean; None: unknown), and the share of time that was stolen.

    ``cores`` counts the processors that this process may use. Stolen time is what the hypervisor of a virtual machine
    gave to other machines.
    """

    busy_cores: float | None
    cores: int
    stolen_share: float


class _Process(NamedTuple):
    name: str
    parent: int
    ticks: int
    """Its CPU time, with that of the children that it has waited for, in clock ticks."""


class _Reading(NamedTuple):
    seconds: float
    busy: int
    stolen: int
    ours: int | None


@contextmanager
def watched_others(server_url: str = "", proc: Path = Path("/proc")) -> Iterator[Callable[[], OtherWork | None]]:
    """Measure the work of others until the block ends; the yielded function then returns it.

    None where the system does not tell, or the time was shorter than ``MIN_SECONDS``.

    Args:
        server_url: address of the measured server; if it runs on this machine, its processes are not others.
        proc: folder of the system's files on processes.
    """
    watch = _Watch(server_url, proc)
    before = watch.read()
    found: OtherWork | None = None
    yield lambda: found
    found = watch.difference(before, watch.read())


class _Watch:
    def __init__(self, server_url: str, proc: Path) -> None:
        self._proc, self._port = proc, _local_port(server_url)
        # In a worker of pytest-xdist the session is its parent, which may have started the server.
        self._session = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
        affinity = getattr(os, "sched_getaffinity", None)
        self._cpus = affinity(0) if affinity else set[int]()

    def read(self) -> _Reading | None:
        try:
            lines = (self._proc / "stat").read_text("utf-8").splitlines()
            rows = [[int(value) for value in line[3:].split()] for line in lines if re.match(r"cpu\d", line)]
        except (OSError, ValueError):
            return None
        busy = stolen = 0
        for cpu, *ticks in rows:
            if cpu in self._cpus and len(ticks) >= 8:  # noqa: PLR2004 - up to "steal"
                user, nice, system, _idle, _iowait, irq, softirq, steal = ticks[:8]
                busy += user + nice + system + irq + softirq
                stolen += steal
        return _Reading(time.perf_counter(), busy, stolen, self._ours())

    def difference(self, before: _Reading | None, after: _Reading | None) -> OtherWork | None:
        if before is None or after is None or not self._cpus or after.seconds - before.seconds < MIN_SECONDS:
            return None
        ticks = (after.seconds - before.seconds) * os.sysconf("SC_CLK_TCK")
        others: float | None = None
        if before.ours is not None and after.ours is not None:
            others = max(0.0, (after.busy - before.busy) - (after.ours - before.ours)) / ticks
        stolen = max(0, after.stolen - before.stolen) / (ticks * len(self._cpus))
        return OtherWork(others, len(self._cpus), stolen)

    def _ours(self) -> int | None:
        """Return the CPU time of the session's and the server's processes; None if the server's are unknown."""
        processes = _processes(self._proc)
        roots = {self._session}
        if self._port is not None:
            servers = _listeners(self._proc, self._port, processes)
            if not servers or any(processes[number].name in FORWARDERS for number in servers):
                return None
            roots |= servers
        return sum(processes[number].ticks for number in _descendants(roots, processes))


def _local_port(url: str) -> int | None:
    """Return the port of an address on this machine; None for any other address."""
    if not url:
        return None
    parts = urlsplit(url)
    host = (parts.hostname or "").casefold()
    local = {"localhost", "::1", "0.0.0.0", socket.gethostname().casefold()}  # noqa: S104 - compared, not bound
    if host not in local and not host.startswith("127."):
        return None
    return parts.port or (443 if parts.scheme == "https" else 80)


def _processes(proc: Path) -> dict[int, _Process]:
    found = {}
    for folder in proc.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            head, _, tail = (folder / "stat").read_text("utf-8", "replace").rpartition(")")
            fields = tail.split()
            # utime, stime, cutime and cstime; fields are counted from the state, which follows the name.
            ticks = sum(int(value) for value in fields[11:15])
            found[int(folder.name)] = _Process(head.partition("(")[2], int(fields[1]), ticks)
        except (OSError, ValueError, IndexError):  # it has ended meanwhile
            continue
    return found


def _descendants(roots: Iterable[int], processes: Mapping[int, _Process]) -> set[int]:
    """Return the processes among the roots, and all that descend from them."""
    children = defaultdict(list)
    for number, process in processes.items():
        children[process.parent].append(number)
    found: set[int] = set()
    waiting = [number for number in roots if number in processes]
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += children[number]
    return found


def _listeners(proc: Path, port: int, processes: Iterable[int]) -> set[int]:
    """Return the processes that listen on a port of this machine, as far as this user may see them."""
    sockets = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / name).read_text("utf-8").splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{fields[9]}]")
    return {number for number in processes if sockets & set(_links(proc / str(number) / "fd"))} if sockets else set()


def _links(folder: Path) -> Iterator[str]:
    try:
        for file in folder.iterdir():
            yield str(file.readlink())
    except OSError:  # another user's, or ended meanwhile
        return
