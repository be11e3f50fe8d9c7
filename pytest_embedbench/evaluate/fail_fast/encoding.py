"""Encode a corpus only as far as it takes to prove that a limit is missed; a healthy model's is encoded whole.

The vectors are those that the whole run would use, each text encoded once. Scores are still taken to be uncertain by
``TOLERANCE``: another run would batch the texts differently, and its verdict must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from pytest_embedbench.core.batching import distinct
from pytest_embedbench.errors import ProvenFailure
from pytest_embedbench.evaluate.fail_fast.blocks import Blocks, batch_budget
from pytest_embedbench.evaluate.fail_fast.order import Order
from pytest_embedbench.evaluate.fail_fast.proof import EarlyFailure, lower_limits, outlook

if TYPE_CHECKING:
    from pytest_embedbench.core.limits import Limit
    from pytest_embedbench.core.runs import Run
    from pytest_embedbench.datasets.types import Dataset
    from pytest_embedbench.encode.loop import Encoded
    from pytest_embedbench.encode.vector_form import VectorForm
    from pytest_embedbench.models.protocol import ModelFacts, Vectors
    from pytest_embedbench.models.variants import Variant

    EncodeBlock = Callable[[Sequence[str], int, str], Encoded]
    """Texts, the most tokens that a batch may hold, and what a progress bar is to show."""

TOLERANCE = {"fp32": 1e-5, "fp16": 5e-3, "bf16": 3e-2}
"""How far a score (of vectors of length 1) may be from that of another run, which batches the texts differently."""

CHUNK = 8192
"""Documents whose scores are held at once."""

TOKENS = 80
"""Tokens of a text, until some have been encoded."""


@dataclass(frozen=True)
class FailFast:
    """End an evaluation once one of the limits is proven missed.

    ``earlier``, a ranking of the same corpus by whatever model, says what to try first. ``say`` is told, before the
    corpus is encoded, how much can be saved or why nothing can.
    """

    limits: Sequence[Limit]
    earlier: Run | None = None
    say: Callable[[str], None] = field(default=lambda _: None)


def obstacle(facts: ModelFacts, variant: Variant, dataset: Dataset, limits: Sequence[Limit]) -> str:
    """Why nothing can be proven early of a model's variant; empty where it can."""
    if not lower_limits(limits) or not dataset.judged_queries:
        return "no lower limit on a measure to miss"
    if variant.precision != "float32":
        return f"{variant.precision} vectors can differ by a whole step between runs"
    if not facts.normalized or facts.dtype not in TOLERANCE:
        return "how far scores can differ between runs is known only for vectors of length 1 and a known dtype"
    return ""


def encode_or_prove(
    dataset: Dataset,
    goal: FailFast,
    *,
    encode_block: EncodeBlock,
    queries: Vectors,
    form: VectorForm,
    tolerance: float,
    batch_tokens: int,
) -> Encoded:
    """The corpus, encoded in the order that proves a failure soonest.

    Args:
        dataset: with judged queries.
        goal: quality limits, of which only lower ones can be proven missed.
        encode_block: encodes documents.
        queries: vectors of the judged queries in their final form, shape (queries, dimensions).
        form: the final form of documents' vectors.
        tolerance: see ``EarlyFailure``.
        batch_tokens: token budget of a batch; blocks that are small have smaller ones.

    Raises:
        ProvenFailure: a limit cannot be kept any more.
    """
    documents = len(dataset.doc_ids)
    unique, indices = distinct(dataset.doc_texts)
    order = Order(dataset, earlier=goal.earlier)
    early = EarlyFailure(dataset, goal.limits, tolerance=tolerance)
    blocks = Blocks(documents)
    ahead = outlook(dataset, goal.limits, order.queue)
    goal.say(str(ahead))
    shown = "document"
    tokens = TOKENS * documents
    vectors: Vectors | None = None
    parts: list[Encoded] = []
    seen = 0
    bounds = early.bounds()
    while seen < documents:
        block = order.next(blocks.size(seen, early.gap(bounds)))
        budget = batch_budget(tokens * len(block) // documents, batch_tokens)
        made = encode_block([dataset.doc_texts[place] for place in block], budget, shown)
        parts.append(made)
        if vectors is None:
            vectors = np.empty((len(unique), made.vectors.shape[1]), dtype=np.float32)
        rows = made.vectors[made.indices]
        vectors[[indices[place] for place in block]] = rows
        seen += len(block)
        tokens = made.tokens * documents // len(block)
        for start in range(0, len(block), CHUNK):
            if seen == documents:
                break  # all is known: the verdict itself comes next
            chunk = slice(start, start + CHUNK)
            scores = queries @ form(rows[chunk]).T
            early.push(block[chunk], scores)
            order.learn(block[chunk], scores)
        bounds = early.bounds()
        if failure := early.proven(bounds):
            raise ProvenFailure(failure.limit.subject, failure.limit.show_bound(), failure.bound, failure.share)
        falling = ", ".join(f"{name} <= {bound:.4f}" for name, bound in bounds.items())
        shown = f"{falling} after {early.share:.0%} of the corpus"
    assert vectors is not None  # noqa: S101 - a dataset with judged queries has documents
    return _together(parts, vectors, indices)


def _together(parts: Sequence[Encoded], vectors: Vectors, indices: list[int]) -> Encoded:
    """The blocks as one encoded corpus."""
    times = [(name, value) for part in parts for name, value in part.server_ms.items()]
    return replace(
        parts[0],
        vectors=vectors,
        indices=indices,
        own_tokens=sum(part.own_tokens for part in parts),
        tokens=sum(part.tokens for part in parts),
        padded_tokens=sum(part.padded_tokens for part in parts),
        seconds=sum(part.seconds for part in parts),
        cached_texts=sum(part.cached_texts for part in parts),
        cached_own_tokens=sum(part.cached_own_tokens for part in parts),
        full_texts=sum(part.full_texts for part in parts),
        server_ms={name: float(np.mean([value for other, value in times if other == name])) for name in dict(times)},
    )
