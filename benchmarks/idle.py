"""Measure the plugin's cost in a pytest session that does not use it, against a session with ``-p no:embedbench``.

Runs the two in turn on a trivial test in an empty folder. Prints medians of both and of the pairwise difference, for
wall time and for the processor time of the whole process (steadier on a busy machine). All other installed plugins are
switched off in both: importing some of them takes a second, which would hide the difference.

    python benchmarks/idle.py [PAIRS]
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import entry_points
from pathlib import Path


def session(folder: Path, *arguments: str) -> tuple[float, float]:
    """Return the wall and processor milliseconds of one pytest process."""
    others = [entry.name for entry in entry_points(group="pytest11") if entry.name != "embedbench"]
    silenced = [word for name in others for word in ("-p", f"no:{name}")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *silenced, *arguments]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # Installing compiles a package once; a shell that forbids bytecode would have it compiled in every session.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * wall, 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main(pairs: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_trivial.py").write_text("def test_trivial():\n    pass\n", encoding="utf-8")
        session(folder)
        with_plugin, without = [], []
        for _ in range(pairs):
            with_plugin.append(session(folder))
            without.append(session(folder, "-p", "no:embedbench"))
    for index, kind in enumerate(("wall", "processor")):
        ours = [times[index] for times in with_plugin]
        bare = [times[index] for times in without]
        difference = [a - b for a, b in zip(ours, bare, strict=True)]
        low, middle, high = statistics.quantiles(difference, n=4)
        print(
            f"{kind} time, medians: with {statistics.median(ours):.1f} ms, without {statistics.median(bare):.1f} ms, "
            f"difference {middle:+.1f} ms (quartiles {low:+.1f} {high:+.1f})"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
