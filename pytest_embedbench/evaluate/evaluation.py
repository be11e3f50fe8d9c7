"""One model on one dataset: encode, search, score."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.encode.loop import Cache, Encoded, Progress, Silence, encode
from pytest_embedbench.evaluate.fail_fast import TOLERANCE, FailFast, encode_or_prove, obstacle
from pytest_embedbench.evaluate.metrics import Scores, score
from pytest_embedbench.evaluate.run import Run
from pytest_embedbench.evaluate.search import search
from pytest_embedbench.measures import Measure
from pytest_embedbench.models.form import VectorForm, calibration, fit
from pytest_embedbench.models.protocol import Encoder, Model, Role
from pytest_embedbench.models.variants import WHOLE, Variant

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Vectors

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
    form: VectorForm | None = None
    """What the model's vectors were brought into; None where none were made."""


def depth_for(measures: Iterable[Measure]) -> int:
    """How many documents of each query the measures need, at least ``DEPTH``."""
    return max([DEPTH, *(measure.k for measure in measures)])


def evaluate(
    model: Model,
    dataset: Dataset,
    measures: Sequence[Measure],
    *,
    variant: Variant = WHOLE,
    batch_tokens: int = 4096,
    progress: Progress | None = None,
    caches: Mapping[Role, Cache] | None = None,
    fail_fast: FailFast | None = None,
) -> Evaluation:
    """Rank the corpus for every query that has judgments (or every query, where none has) and score the ranking.

    ``variant`` is made of the model's vectors; int8's ranges come from a sample of the corpus (``calibration``).
    ``caches`` remember vectors of this very model, one for each role.

    Raises:
        ModelError: the model gave a vector that cannot be used.
        ProvenFailure: with ``fail_fast``, a limit cannot be kept any more.
    """
    started = time.perf_counter()
    queries = dataset.ranked_queries
    depth = depth_for(measures)
    wanted = depth + 1 if dataset.drop_self else depth
    effort: dict[str, float] = {}
    form = None
    if not queries:
        run = Run({})  # nothing to rank, so nothing is encoded
    elif isinstance(model, Encoder):
        run, effort, form = _dense_run(
            model,
            dataset,
            queries,
            wanted,
            variant=variant,
            batch_tokens=batch_tokens,
            progress=progress or Silence(),
            caches=caches or {},
            fail_fast=fail_fast,
        )
    else:
        run = model.retrieve(dataset, queries, wanted)
    if dataset.drop_self:
        run = run.without_self(depth)
    scores = score(run, dataset.qrels, dataset.judged_queries, measures)
    return Evaluation(
        run=run, scores=scores, seconds=time.perf_counter() - started, depth=depth, encode=effort, form=form
    )


def _dense_run(  # noqa: PLR0913 - by keyword, what evaluate was asked for
    model: Encoder,
    dataset: Dataset,
    queries: Sequence[str],
    depth: int,
    *,
    variant: Variant,
    batch_tokens: int,
    progress: Progress,
    caches: Mapping[Role, Cache],
    fail_fast: FailFast | None,
) -> tuple[Run, dict[str, float], VectorForm]:
    def encoded(texts: Sequence[str], role: Role, budget: int = batch_tokens, label: str = "") -> Encoded:
        return encode(model, texts, role, batch_tokens=budget, progress=progress, cache=caches.get(role), label=label)

    asked = encoded([dataset.query_text[query] for query in queries], "query")
    reason = obstacle(model.facts, variant, dataset, fail_fast.limits) if fail_fast else ""
    if fail_fast and reason:
        fail_fast.say(f"no failure can be proven early: {reason}")
    if fail_fast and not reason:
        whole = VectorForm(variant, model.facts.normalized)  # without ranges: quantized vectors are an obstacle
        corpus = encode_or_prove(
            dataset,
            fail_fast,
            encode_block=lambda texts, budget, label: encoded(texts, "document", budget, label),
            queries=whole(asked.vectors)[asked.indices],
            form=whole,
            tolerance=TOLERANCE[model.facts.dtype],
            batch_tokens=batch_tokens,
        )
    else:
        corpus = encoded(dataset.doc_texts, "document")
    groups: list[list[str]] = [[] for _ in range(len(corpus.vectors))]
    for doc, index in zip(dataset.doc_ids, corpus.indices, strict=True):
        groups[index].append(doc)

    def sample() -> Vectors:
        return corpus.vectors[[corpus.indices[index] for index in calibration(dataset.doc_texts)]]

    form = fit(variant, model.facts, sample)
    searched = time.perf_counter()
    run = search(form(corpus.vectors), groups, form(asked.vectors)[asked.indices], queries, depth)
    effort = {
        "corpus_seconds": corpus.seconds,
        "corpus_own_tokens": corpus.own_tokens,
        "corpus_tokens": corpus.tokens,
        "corpus_padded_tokens": corpus.padded_tokens,
        "corpus_cached_texts": corpus.cached_texts,
        "corpus_cached_own_tokens": corpus.cached_own_tokens,
        "corpus_full_texts": corpus.full_texts,
        "query_seconds": asked.seconds,
        "query_own_tokens": asked.own_tokens,
        "query_tokens": asked.tokens,
        "query_cached_texts": asked.cached_texts,
        "query_cached_own_tokens": asked.cached_own_tokens,
        "query_full_texts": asked.full_texts,
        "search_seconds": time.perf_counter() - searched,
        "batch_tokens": batch_tokens,
    }
    for side, work in (("corpus", corpus), ("query", asked)):
        effort |= {f"{side}_server_ms:{name}": value for name, value in work.server_ms.items()}
    return run, effort, form
