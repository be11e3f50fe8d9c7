"""A process from start to end: its time, its memory, what it printed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

STARTED = "BENCHMARK_STARTED"
"""Tells a process when it was started, by ``time.monotonic``, which processes of one machine share."""

SHOWN = 3000
"""Characters of a failed process's output."""


class Finished(NamedTuple):
    """Wall seconds of the whole process, the largest resident memory in bytes, what it wrote to stdout."""

    seconds: float
    peak_bytes: int
    output: str


def finish(command: Sequence[str], *, folder: Path, environment: Mapping[str, str] | None = None) -> Finished:
    """Run a command to its end.

    The system counts what this process holds as memory of the new one, until that has replaced it: so stay small here.

    Raises:
        SystemExit: it failed; the message has the end of its output.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output, tempfile.TemporaryFile("w+") as errors:
        started = time.monotonic()
        surroundings = {**os.environ, "HF_HUB_OFFLINE": "1", **(environment or {}), STARTED: repr(started)}
        # A shell that forbids bytecode would have everything compiled in every run.
        surroundings.pop("PYTHONDONTWRITEBYTECODE", None)
        process = subprocess.Popen(command, cwd=folder, env=surroundings, stdout=output, stderr=errors)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
        if process.returncode:
            errors.seek(0)
            raise SystemExit(f"{' '.join(command)} failed:\n{said[-SHOWN:]}\n{errors.read()[-SHOWN:]}")
    return Finished(seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024), said)
