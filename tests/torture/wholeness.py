"""What must hold of a project after a session has ended, in whatever way: whole files, free locks, no process left."""

from __future__ import annotations

import fcntl
import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_embedbench.core.files import MAX_PART_SECONDS
from pytest_embedbench.encode.cache_file import STEM, VectorFile, VectorRow
from pytest_embedbench.engine.tuning import TUNING_FILE, Tuned
from pytest_embedbench.errors import EmbedbenchError
from pytest_embedbench.reports.cards.parsing import parse
from pytest_embedbench.results.baseline import parse_baseline
from pytest_embedbench.results.conformance import CONFORMANCE, ProbeRecord
from pytest_embedbench.results.store import META_FILE, Store, parse_per_query

if TYPE_CHECKING:
    from pytest_embedbench.results.schema import PairResult
    from tests.torture.trial import Trial

END_SECONDS = 30.0
"""Seconds in which processes that a killed session has started must notice and end."""

ROUNDING = 1e-9
"""Largest difference of a stored mean from that of the stored values."""

BASELINE = "embedbench-baseline.json"
PROJECT = {"facts", "conftest.py", "mine.py", "embedbench.toml", "embedbench-out", "full", "__pycache__"}
"""Names in a project's folder."""

PART = re.compile(r"\.embedbench-\w+\.part")


def faults(trial: Trial) -> list[str]:
    """Return everything that is wrong with what a session has left; ``[]`` where all is well."""
    return [*_orphans(trial), *_locks(trial), *_results(trial), *_others(trial), *_cache(trial.cache)]


def numbers(trial: Trial) -> dict[str, Any]:
    """Return all numbers that the sessions of a project have stored, but for those that measure time."""
    found: dict[str, Any] = {}
    for path in sorted(trial.out.glob("results/**/*.json")):
        if path.name == META_FILE:
            continue
        stored = json.loads(path.read_bytes())
        details, name = stored["embedbench"], str(path.relative_to(trial.out))
        evidence = {key: details["evidence"].get(key) for key in ("run", "run_sha256", "per_query")}
        files = {key: (path.parent / evidence[key]).read_text("utf-8") for key in ("run", "per_query") if evidence[key]}
        found[name] = stored["scores"], details["means"], details["key"], evidence, files
    for path in sorted(trial.out.glob(f"results/**/{CONFORMANCE}")):
        records = [json.loads(line) for line in path.read_bytes().splitlines()]
        found[str(path.relative_to(trial.out))] = {record["probe"]: record["outcome"]["status"] for record in records}
    baseline = trial.project / BASELINE
    if baseline.exists():
        pairs = json.loads(baseline.read_bytes())["pairs"]
        found[baseline.name] = {pair["model"]: (pair["means"], pair["queries"]) for pair in pairs}
    found["cards"] = sorted(path.name for path in trial.out.glob("cards/*.md"))
    return found


def age(trial: Trial) -> int:
    """Make temporary files look older than they may become; return how many there are."""
    parts = _parts(trial)
    for path in parts:
        os.utime(path, (time.time() - 2 * MAX_PART_SECONDS,) * 2)
    return len(parts)


def _parts(trial: Trial) -> list[Path]:
    return [path for path in trial.folder.rglob("*") if PART.fullmatch(path.name)]


def old_parts(trial: Trial, since: float) -> list[str]:
    """Return the old temporary files in folders in which something was written after ``since`` (Unix time)."""
    return [
        f"an old temporary file: {path}"
        for path in _parts(trial)
        if time.time() - path.stat().st_mtime > MAX_PART_SECONDS
        and any(other.stat().st_mtime > since for other in path.parent.iterdir() if other.is_file())
    ]


def _orphans(trial: Trial) -> Iterator[str]:
    end = time.monotonic() + END_SECONDS
    while (left := _processes(str(trial.folder))) and time.monotonic() < end:
        time.sleep(0.05)
    yield from (f"a process is left: {name}" for name in left)


def _processes(mark: str) -> list[str]:
    """Return the command lines of the processes that a session of this trial has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"TORTURE_TRIAL={mark}\0".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200])
    return found


def _locks(trial: Trial) -> Iterator[str]:
    for path in [*trial.temporary.iterdir(), *(trial.cache.glob("*.lock") if trial.cache.exists() else ())]:
        if path.name.startswith("pytest-of-"):  # pytest's own, in xdist's workers
            continue
        if path.suffix not in {".lock", ".gate", ".room"}:
            yield f"left in the temporary folder: {path}"
            continue
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield f"a lock is held: {path}"


def _results(trial: Trial) -> Iterator[str]:
    """Check each result with its run, scores and samples."""
    store = Store(trial.out / "results")
    for path in sorted(store.root.rglob("*.json")):
        if path.name == META_FILE:
            if set(json.loads(path.read_bytes())) != {"name", "revision"}:
                yield f"{path}: not MTEB's form"
            continue
        try:
            result = store.load(path)
        except EmbedbenchError as error:
            yield str(error)
            continue
        assert result is not None
        yield from _evidence(store, path, result)


def _evidence(store: Store, path: Path, result: PairResult) -> Iterator[str]:
    evidence = result.embedbench.evidence
    if evidence.run and store.load_run(path, result) is None:
        yield f"{path}: the run is not the one of the result"
    if evidence.per_query:
        scores = parse_per_query((path.parent / evidence.per_query).read_bytes())
        for name, mean in result.embedbench.means.items():
            values = scores[name].values()
            if abs(sum(values) / len(values) - mean) > ROUNDING:
                yield f"{path}: {name} is not the mean of the per-query scores"
    for name in (name for sides in evidence.samples.values() for name in sides.values()):
        rows = (path.parent / name).read_text("utf-8").splitlines()
        if len({row.count(",") for row in rows}) != 1 or len(rows) < 2:
            yield f"{path.parent / name}: not whole"


def _baseline(path: Path) -> None:
    parse_baseline(path.read_bytes(), "baseline", str(path))


def _probes(path: Path) -> None:
    for line in path.read_bytes().splitlines():
        msgspec.json.decode(line, type=ProbeRecord)


def _page(path: Path) -> None:
    page = path.read_text("utf-8")
    parse(page)
    assert page.endswith("\n"), "no end"


def _drawing(path: Path) -> None:
    assert path.read_text("utf-8").rstrip().endswith("</svg>"), "no end"


def _others(trial: Trial) -> Iterator[str]:
    """Check probes, cards, drawings and the baseline, and that nothing else lies there."""
    readers = {CONFORMANCE: _probes, ".md": _page, ".svg": _drawing, BASELINE: _baseline}
    known = {".json", ".trec", ".jsonl", ".csv", ".gitignore"}
    in_project = (path for path in trial.project.iterdir() if path.name not in PROJECT)
    for path in sorted([*(path for path in trial.out.rglob("*") if path.is_file()), *in_project]):
        try:
            if reader := readers.get(path.name) or readers.get(path.suffix):
                reader(path)
            elif not known & {path.name, path.suffix} and not PART.fullmatch(path.name):
                yield f"{path}: not known"
        except (EmbedbenchError, msgspec.DecodeError, AssertionError) as error:
            yield f"{path}: {error}"


def _cache(folder: Path) -> Iterator[str]:
    """Check the database, and the checksum of every vector in it."""
    if not folder.exists():
        return
    if (folder / TUNING_FILE).exists():
        msgspec.json.decode((folder / TUNING_FILE).read_bytes(), type=Tuned)
    yield from (f"moved aside: {path}" for path in folder.glob(f"{STEM}*.broken"))
    path = VectorFile(folder).path
    if not path.exists():
        return
    with closing(sqlite3.connect(path)) as db:
        db.text_factory = bytes
        if db.execute("PRAGMA user_version").fetchone() == (0,):
            return  # killed while the first layout was made; the next session makes it
        if (said := db.execute("PRAGMA integrity_check").fetchone()) != (b"ok",):
            yield f"{path}: {said}"
        rows = db.execute(
            "SELECT checksum, text, own_tokens, tokens, vector, key FROM vectors JOIN spaces ON spaces.id = space"
        )
        for checksum, text, own_tokens, tokens, vector, key in rows:
            if checksum != VectorRow(text, own_tokens, tokens, vector).checksum(key):
                yield f"{path}: a damaged vector"
