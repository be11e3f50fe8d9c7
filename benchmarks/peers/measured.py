"""Code that all peers share: reading a BEIR folder, a clock, and the line that a peer prints.

Peers run in an environment of their own, so nothing of pytest-embedbench is imported here.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

STARTED = "BENCHMARK_STARTED"
"""Environment variable with the time at which the process was started, by the clock that all processes share."""


class Collection(NamedTuple):
    """Texts by id, and grades by query and document; ``docs`` are title, one space, text, stripped."""

    docs: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]


def read(folder: Path) -> Collection:
    with (folder / "qrels" / "test.tsv").open(encoding="utf-8", newline="") as file:
        qrels: dict[str, dict[str, int]] = {}
        for row in csv.DictReader(file, delimiter="\t"):
            qrels.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    docs = {line["_id"]: f"{line.get('title', '')} {line['text']}".strip() for line in _lines(folder / "corpus.jsonl")}
    return Collection(docs, {line["_id"]: line["text"] for line in _lines(folder / "queries.jsonl")}, qrels)


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


class Clock:
    """Seconds by phase; ``imports`` is the time from the start of the process until the clock is created."""

    def __init__(self) -> None:
        now = time.monotonic()
        self.seconds = {"imports": now - float(os.environ.get(STARTED, now))}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    def watch(self, model: Any) -> None:
        """Count the time of ``model.encode`` too, whoever calls it."""
        encode = model.encode

        def timed(*arguments: Any, **keywords: Any) -> Any:
            with self.phase("encode"):
                return encode(*arguments, **keywords)

        model.encode = timed


def say(clock: Clock, ndcg: float) -> None:
    """Print the one line: seconds by phase, peak memory of this process in bytes, nDCG@10."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(json.dumps({"phases": clock.seconds, "peak_bytes": peak, "ndcg@10": ndcg}))
