"""Run one evaluation by pytest-embedbench, a pytest process from its start to the report, and read what it stored."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from encoding.first_token import WRITTEN_TO
from encoding.process import finish

HERE = Path(__file__).resolve().parent
SUITE = '[embedbench]\nmetrics = ["ndcg@10"]\n'


def _cache(work: Path, dtype: str) -> Path:
    return work / f"cache-{dtype}"


def forget(work: Path, dtype: str) -> None:
    """Remove everything that earlier runs kept."""
    shutil.rmtree(_cache(work, dtype), ignore_errors=True)


def evaluate(
    collection: Path, dtype: str, work: Path, *, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Evaluate MiniLM on a collection.

    ``work`` keeps the number format's cache folder between calls, without its vectors: tuned settings of the machine
    are kept for the next run, and all vectors are computed and written, as in a user's first run on a collection.
    """
    cache = _cache(work, dtype)
    for file in cache.glob("*.sqlite*"):
        file.unlink()
    folder = work / f"run-{dtype}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "embedbench.toml").write_text(SUITE, encoding="utf-8")
    others = [entry.name for entry in entry_points(group="pytest11") if entry.name != "embedbench"]
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "encoding.first_token",
        *(word for name in others for word in ("-p", f"no:{name}")),
        "--embed-model=minilm", f"--embed-dataset={collection}", "--embed-no-conformance",
        f"--embed-dtype={dtype}", "--embed-device=cpu",
    ]  # fmt: skip
    surroundings = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH", "")])),
        "EMBEDBENCH_CACHE": str(cache),
        WRITTEN_TO: str(folder / "first_token"),
        **(environment or {}),
    }
    done = finish(command, folder=folder, environment=surroundings)
    (path,) = (path for path in folder.glob("embedbench-out/results/*/*/*.json") if path.name != "model_meta.json")
    stored = json.loads(path.read_text("utf-8"))
    details = stored["embedbench"]
    assert not details["effort"]["corpus_cached_texts"], "vectors came from the cache: this run measures nothing"
    return {
        "seconds": done.seconds,
        "peak_bytes": done.peak_bytes,
        "ndcg@10": details["means"]["ndcg@10"],
        "first_token_seconds": float((folder / "first_token").read_text("utf-8")),
        "phases": {"load": details["load_seconds"], "evaluate": stored["evaluation_time"]},
        "dtype": details["model"]["facts"]["dtype"],
        "effort": details["effort"],
    }
