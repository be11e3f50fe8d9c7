"""One model on one dataset: encode, search, score."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.encode.loop import Progress, Silence, encode
from pytest_embedbench.evaluate.metrics import Scores, score
from pytest_embedbench.evaluate.run import Run
from pytest_embedbench.evaluate.search import search
from pytest_embedbench.measures import Measure
from pytest_embedbench.models.protocol import Encoder, Model

DEPTH = 100
"""Documents kept for each query, where no measure asks for more."""


@dataclass(frozen=True)
class Evaluation:
    """What a pair produced: the run, values per measure and query, and what it took (seconds, tokens)."""

    run: Run
    scores: Scores
    seconds: float
    depth: int
    encode: dict[str, float] = field(default_factory=dict)


def depth_for(measures: Iterable[Measure]) -> int:
    """How many documents of each query the measures need, at least ``DEPTH``."""
    return max([DEPTH, *(measure.k for measure in measures)])


def evaluate(
    model: Model,
    dataset: Dataset,
    measures: Sequence[Measure],
    *,
    batch_tokens: int = 4096,
    progress: Progress | None = None,
) -> Evaluation:
    """Rank the corpus for every query that has judgments (or every query, where none has) and score the ranking.

    Raises:
        ModelError: the model gave a vector that cannot be used.
    """
    started = time.perf_counter()
    queries = dataset.ranked_queries
    depth = depth_for(measures)
    wanted = depth + 1 if dataset.drop_self else depth
    effort: dict[str, float] = {}
    if not queries:
        run = Run({})  # nothing to rank, so nothing is encoded
    elif isinstance(model, Encoder):
        run, effort = _dense_run(model, dataset, queries, wanted, batch_tokens, progress or Silence())
    else:
        run = model.retrieve(dataset, queries, wanted)
    if dataset.drop_self:
        run = run.without_self(depth)
    scores = score(run, dataset.qrels, dataset.judged_queries, measures)
    return Evaluation(run=run, scores=scores, seconds=time.perf_counter() - started, depth=depth, encode=effort)


def _dense_run(
    model: Encoder, dataset: Dataset, queries: Sequence[str], depth: int, batch_tokens: int, progress: Progress
) -> tuple[Run, dict[str, float]]:
    corpus = encode(model, dataset.doc_texts, "document", batch_tokens=batch_tokens, progress=progress)
    texts = [dataset.query_text[query] for query in queries]
    asked = encode(model, texts, "query", batch_tokens=batch_tokens, progress=progress)
    groups: list[list[str]] = [[] for _ in range(len(corpus.vectors))]
    for doc, index in zip(dataset.doc_ids, corpus.indices, strict=True):
        groups[index].append(doc)
    searched = time.perf_counter()
    run = search(corpus.vectors, groups, asked.vectors[asked.indices], queries, depth)
    effort = {
        "corpus_seconds": corpus.seconds,
        "corpus_own_tokens": corpus.own_tokens,
        "corpus_tokens": corpus.tokens,
        "corpus_padded_tokens": corpus.padded_tokens,
        "query_seconds": asked.seconds,
        "query_own_tokens": asked.own_tokens,
        "query_tokens": asked.tokens,
        "search_seconds": time.perf_counter() - searched,
        "batch_tokens": batch_tokens,
    }
    return run, effort
