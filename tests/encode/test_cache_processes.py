"""Real processes share a cache; a killed process loses at most the batch that it was encoding."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.encode.conftest import Desk

WORKER = """
import sys, time
import numpy as np
from pathlib import Path
from pytest_embedbench.encode.cache import VectorCache
from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.models.protocol import ModelFacts, PreparedText

folder, mode, first, last, rounds = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])

class Model:
    facts = ModelFacts()
    def prepare(self, texts, role):
        return [PreparedText(text, 10, 9) for text in texts]
    def forward(self, batch, role):
        print(*(text.payload for text in batch), flush=True)
        if mode == "slow":
            time.sleep(0.05)
        return np.array([[float(text.payload)] * 256 for text in batch], np.float32)

print("ready", flush=True)
sys.stdin.readline()
texts = [str(number) for number in range(first, last)]
for round in range(rounds):
    # Each round is a session: the file is opened and closed while others do the same.
    cache = VectorCache(Path(folder), max_bytes=10**9)
    space = cache.spaces(f"model {round}", f"print {round}", Model.facts, {})["document"]
    done = encode(Model(), texts, "document", batch_tokens=50, progress=SilentProgress(), cache=space)
    cache.close()
    assert cache.notes == [], cache.notes
    assert done.vectors[done.indices][:, 7].tolist() == [float(text) for text in texts]
"""


@pytest.fixture
def worker(desk: Desk, tmp_path: Path) -> Iterator[Worker]:
    """Return a starter of processes; those still running at the end are killed."""
    script = tmp_path / "worker.py"
    script.write_text(WORKER, "utf-8")
    actual = Worker(script, desk.folder)
    yield actual
    for process in actual.started:
        process.kill()
        process.communicate()


class Worker:
    """Starter of processes that encode the numbers of a range, five in a batch, and print each batch once encoded."""

    def __init__(self, script: Path, folder: Path) -> None:
        self.script, self.folder = script, folder
        self.started: list[subprocess.Popen[str]] = []

    def start(self, mode: str, first: int, last: int, rounds: int = 1) -> subprocess.Popen[str]:
        command = [sys.executable, *map(str, (self.script, self.folder, mode, first, last, rounds))]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self.started.append(process)
        return process

    @staticmethod
    def go(*processes: subprocess.Popen[str]) -> None:
        """Let processes begin together, once they have imported everything."""
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()

    def run(self, first: int, last: int, rounds: int = 1) -> list[str]:
        """Run one process from beginning to end."""
        process = self.start("fast", first, last, rounds)
        self.go(process)
        return self.end(process)

    @staticmethod
    def end(process: subprocess.Popen[str], code: int = 0) -> list[str]:
        """Wait for the process; return the texts that it encoded."""
        output, errors = process.communicate(timeout=600)
        assert process.returncode == code, errors
        return output.split()


def test_processes_share_the_cache(worker: Worker, desk: Desk) -> None:
    rounds, spans = 8, [(0, 120), (60, 180), (0, 180)]
    processes = [worker.start("fast", *span, rounds) for span in spans]
    worker.go(*processes)
    encoded = [worker.end(process) for process in processes]
    for texts, (first, last) in zip(encoded, spans, strict=True):
        assert len(texts) <= (last - first) * rounds, "at worst each encodes its own texts once"
    assert worker.run(0, 180, rounds) == []
    session = desk.session()
    assert [space.texts for space in session.file.contents()] == [180] * rounds
    with closing(sqlite3.connect(session.file.path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("batches", [1, 2, 9])
def test_a_killed_process_loses_at_most_the_batch_in_flight(worker: Worker, batches: int) -> None:
    process = worker.start("slow", 0, 100)
    worker.go(process)
    assert process.stdout is not None
    lines = [process.stdout.readline().split() for _ in range(batches)]
    os.kill(process.pid, signal.SIGKILL)
    before = [text for line in lines for text in line] + worker.end(process, -signal.SIGKILL)
    after = worker.run(0, 100)
    assert len(before) >= 5 * batches
    lost = set(before) & set(after)
    assert set(before) | set(after) == {str(number) for number in range(100)}
    assert lost <= set(before[-5:])
    assert worker.run(0, 100) == []


def test_a_killed_process_holds_up_no_other(worker: Worker) -> None:
    killed, other = worker.start("slow", 0, 100), worker.start("slow", 100, 200)
    worker.go(killed, other)
    assert killed.stdout is not None
    killed.stdout.readline()
    os.kill(killed.pid, signal.SIGKILL)
    assert len(worker.end(other)) == 100
    assert worker.run(100, 200) == []
