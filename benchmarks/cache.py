"""Measure the saving by the embedding cache: a first run, then the same run with nothing kept but cached vectors.

Each run is a separate pytest process with MiniLM on the CPU. The second run is made twice, each time after the stored
result is deleted, and the cheaper one counts. The fixed cost of a process (imports, loading the model, pytest itself,
the card) is that of a run over two short texts, the cheapest of three. Prints the wall time of the evaluation as
results state it (encoding, search, scores), and the processor time of whole processes, steadier on a busy machine.
Datasets are known names or BEIR folders.

    python benchmarks/cache.py [DATASET...]
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TINY = {
    "corpus.jsonl": '{"_id": "d", "text": "one"}\n',
    "queries.jsonl": '{"_id": "q", "text": "two"}\n',
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\nq\td\t1\n",
}


def seconds(command: list[str], folder: Path) -> float:
    """Run a process and return its processor seconds."""
    environment = {**os.environ, "EMBEDBENCH_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def run(dataset: str, folder: Path) -> tuple[float, dict[str, Any]]:
    """Evaluate MiniLM without a stored result; return the processor seconds of the process and the result."""
    shutil.rmtree(folder / "embedbench-out", ignore_errors=True)
    chosen = ["--embed-model=minilm", f"--embed-dataset={dataset}", "-k", "ndcg"]
    took = seconds([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen], folder)
    (path,) = (path for path in folder.glob("embedbench-out/results/*/*/*.json") if path.name != "model_meta.json")
    return took, json.loads(path.read_text("utf-8"))


def speed(texts: int, dimensions: int) -> None:
    """Print the processor time of writing vectors, forty at a time, and of reading them, and their size in the file."""
    import numpy as np

    from pytest_embedbench.encode.cache import VectorCache
    from pytest_embedbench.models.protocol import ModelFacts, PreparedText

    names = [f"text {number} " * 100 for number in range(texts)]
    vectors = np.random.default_rng(0).standard_normal((texts, dimensions), np.float32)
    with tempfile.TemporaryDirectory() as name:
        cache = VectorCache(Path(name) / "cache")
        space = cache.spaces("model", "print", ModelFacts(), {})["document"]
        started = time.process_time()
        for start in range(0, texts, 40):
            part = slice(start, start + 40)
            space.write(names[part], [PreparedText(None, 300, 298)] * len(names[part]), vectors[part])
        cache.close()
        written = time.process_time()
        found = space.read(names)
        read = time.process_time()
        cache.close()
        assert not found.missing
        size = sum(path.stat().st_size for path in (Path(name) / "cache").iterdir()) / vectors.nbytes
    print(
        f"{texts:,} x {dimensions}: written in {written - started:.2f} s, read in {read - written:.2f} s, {size:.2f} x"
    )


def main(datasets: list[str]) -> None:
    for dimensions in (384, 1024, 4096):
        speed(20_000, dimensions)
    for dataset in datasets:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for path, text in TINY.items():
                (folder / "tiny" / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / "tiny" / path).write_text(text, encoding="utf-8")
            fixed = min(run("tiny", folder)[0] for _ in range(3))
            runs = [run(dataset, folder) for _ in range(3)]
            size = sum(path.stat().st_size for path in (folder / "cache").iterdir())
        (first_seconds, first), again = runs[0], min(runs[1:], key=lambda timed: timed[0])
        texts = sum(int(again[1]["embedbench"]["effort"][f"{side}_cached_texts"]) for side in ("corpus", "query"))
        assert first["scores"] == again[1]["scores"]
        rest = max(0.0, again[0] - fixed) / (first_seconds - fixed)
        before, after = float(first["evaluation_time"]), float(again[1]["evaluation_time"])
        print(f"{Path(dataset).name}: {texts:,} texts, cache {size / 1e6:.1f} MB")
        print(f"  evaluation {before:.2f} s, then {after:.3f} s: {after / before:.2%}")
        took = f"{first_seconds:.1f} s, then {again[0]:.1f} s; with nothing to encode {fixed:.1f} s"
        print(f"  processor {took}; above that: {rest:.1%}")


if __name__ == "__main__":
    main(sys.argv[1:] or ["builtin"])
