"""One model on one dataset: encode, search, score."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pytest_embedbench.core.measures import Measure
from pytest_embedbench.core.runs import Run
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.encode.vector_form import VectorForm
from pytest_embedbench.evaluate.dense import Encoding, rank
from pytest_embedbench.evaluate.fail_fast.encoding import FailFast
from pytest_embedbench.evaluate.metrics import Scores, score
from pytest_embedbench.models.protocol import Encoder, Model
from pytest_embedbench.models.variants import WHOLE, Variant

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
    encoding: Encoding | None = None,
    fail_fast: FailFast | None = None,
) -> Evaluation:
    """Rank the corpus for every query that has judgments (or every query, where none has) and score the ranking.

    ``variant`` is made of the model's vectors; int8's ranges come from a sample of the corpus (``calibration``).

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
        run, effort, form = rank(
            model,
            dataset,
            queries,
            wanted,
            variant=variant,
            encoding=encoding or Encoding(),
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
