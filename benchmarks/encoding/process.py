"""Run a process from start to end, and record its time, its memory and its output."""

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
"""Environment variable with the start of a process, by ``time.monotonic``, which all processes of a machine share."""

SHOWN = 3000
"""Characters of a failed process's output that its error shows."""


class Finished(NamedTuple):
    """Wall seconds of the whole process, its peak resident memory in bytes, and its standard output."""

    seconds: float
    peak_bytes: int
    output: str


def finish(command: Sequence[str], *, folder: Path, environment: Mapping[str, str] | None = None) -> Finished:
    """Run a command to its end.

    The system counts this process's memory as that of the new one until the new program starts, so keep it small here.

    Raises:
        SystemExit: it failed; the message has the end of its output.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output, tempfile.TemporaryFile("w+") as errors:
        started = time.monotonic()
        surroundings = {**os.environ, "HF_HUB_OFFLINE": "1", **(environment or {}), STARTED: repr(started)}
        # In a shell that forbids bytecode, every run would compile everything.
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
