"""One model on one dataset: encode, search, score."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_embedbench.core.measures import Measure
from pytest_embedbench.core.runs import Run
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.encode.vector_form import VectorForm
from pytest_embedbench.evaluate.dense import Encoding, rank
from pytest_embedbench.evaluate.fail_fast.encoding import FailFast
from pytest_embedbench.evaluate.metrics import Scores, score
from pytest_embedbench.evaluate.search import depth_for
from pytest_embedbench.models.protocol import Encoder, Model, ServedEncoder
from pytest_embedbench.models.text_errors import UnusableTextsError
from pytest_embedbench.models.variants import FULL_VECTORS, Variant


@dataclass(frozen=True)
class Evaluation:
    """A pair's run, its values per measure and query, and the effort (seconds, tokens)."""

    run: Run
    scores: Scores
    seconds: float
    depth: int
    encode: dict[str, float] = field(default_factory=dict)
    form: VectorForm | None = None
    """The variant's form of the model's vectors; None if the model makes none."""


def evaluate(
    model: Model,
    dataset: Dataset,
    measures: Sequence[Measure],
    *,
    variant: Variant = FULL_VECTORS,
    encoding: Encoding | None = None,
    fail_fast: FailFast | None = None,
) -> Evaluation:
    """Rank the corpus for every query that has judgments (or every query, where none has) and score the ranking.

    Args:
        model: the model.
        dataset: corpus, queries and judgments.
        measures: measures that are computed.
        variant: what is kept of the model's vectors; int8's ranges come from a sample of the corpus
            (``calibration_documents``).
        encoding: settings for encoding; absent: the defaults, without a cache.
        fail_fast: limits that may end the evaluation early; absent: it is always finished.

    A served model is not asked for blank texts: such documents rank last, and such queries find nothing.

    Raises:
        UnusableTextsError: texts have no usable vector; the message has their ids.
        ModelError: the model failed in another way.
        ProvenFailure: with ``fail_fast``, a limit cannot be kept any more.
    """
    started = time.perf_counter()
    # Servers refuse blank texts, or answer with a vector of nothing.
    sent = dataset.without_blank() if isinstance(model, ServedEncoder) else dataset
    queries = sent.ranked_queries
    depth = depth_for(measures)
    # The query itself, which is dropped afterwards, takes one rank.
    ranked_depth = depth + 1 if dataset.drop_self else depth
    effort: dict[str, float] = {}
    form = None
    if not queries:
        run = Run({})  # nothing to rank, so nothing is encoded
    elif isinstance(model, Encoder):
        try:
            run, effort, form = rank(
                model,
                sent,
                queries,
                ranked_depth,
                variant=variant,
                encoding=encoding or Encoding(),
                fail_fast=fail_fast,
            )
        except UnusableTextsError as error:
            raise error.naming(dataset.ids_of_texts(error.role)) from None
    else:
        run = model.retrieve(dataset, queries, ranked_depth)
    if sent is not dataset:
        run = run.with_last(dataset.blank_documents, ranked_depth)
    if dataset.drop_self:
        run = run.without_self(depth)
    scores = score(run, dataset.qrels, dataset.judged_queries, measures)
    return Evaluation(
        run=run, scores=scores, seconds=time.perf_counter() - started, depth=depth, encode=effort, form=form
    )
