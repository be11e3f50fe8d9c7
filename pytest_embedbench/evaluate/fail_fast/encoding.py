"""Encode a corpus only as far as it takes to prove that a limit is missed; a healthy model's is encoded whole.

The vectors are those that the whole run would use, each text encoded once. Scores are still taken to be uncertain by
``SCORE_TOLERANCE``: another run would batch the texts differently, and its verdict must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from pytest_embedbench.core.batching import distinct
from pytest_embedbench.core.similarity import DEFAULT_SIMILARITY
from pytest_embedbench.errors import ProvenFailure
from pytest_embedbench.evaluate.fail_fast.block_sizes import BlockSizes, batch_budget
from pytest_embedbench.evaluate.fail_fast.encoding_order import EncodingOrder
from pytest_embedbench.evaluate.fail_fast.proof import FailureProver, lower_limits, outlook

if TYPE_CHECKING:
    from pytest_embedbench.core.runs import Run
    from pytest_embedbench.core.similarity import Scorer
    from pytest_embedbench.core.thresholds import Limit
    from pytest_embedbench.datasets.types import Dataset
    from pytest_embedbench.encode.loop import Encoded
    from pytest_embedbench.encode.vector_form import VectorForm
    from pytest_embedbench.models.protocol import ModelFacts, Vectors
    from pytest_embedbench.models.variants import Variant

    EncodeBlock = Callable[[Sequence[str], int, str], Encoded]
    """Called with texts, the most tokens that a batch may hold, and the label of a progress bar."""

SCORE_TOLERANCE = {"fp32": 1e-5, "fp16": 5e-3, "bf16": 3e-2}
"""Cosine, or inner product of unit vectors; largest difference to another run, which batches the texts differently."""

MAX_SCORED = 8192
"""Documents whose scores are held at once."""

DEFAULT_TEXT_TOKENS = 80
"""Tokens; estimated length of a text, until some have been encoded."""


@dataclass(frozen=True)
class FailFast:
    """Limits that end an evaluation once one of them is proven missed.

    ``earlier``, a ranking of the same corpus by any model, decides which documents come first. ``say`` is called before
    the corpus is encoded, with a sentence on how much can be saved or why nothing can.
    """

    limits: Sequence[Limit]
    earlier: Run | None = None
    say: Callable[[str], None] = field(default=lambda _: None)


def obstacle(facts: ModelFacts, variant: Variant, dataset: Dataset, limits: Sequence[Limit]) -> str:
    """Return the reason why nothing can be proven early about a model's variant; "" if something can."""
    if not lower_limits(limits) or not dataset.judged_queries:
        return "no lower limit on a measure to miss"
    if variant.precision != "float32":
        return f"{variant.precision} vectors can differ by a whole step between runs"
    if facts.dtype not in SCORE_TOLERANCE:
        return "how far scores can differ between runs is known only for a known dtype"
    similarity = facts.similarity or DEFAULT_SIMILARITY
    if similarity != "cosine" and not (similarity == "dot" and facts.normalized):
        known = "cosine, and for dot products of vectors of length 1"
        other = "dot products of vectors of any length" if similarity == "dot" else similarity
        return f"how far scores can differ between runs is known only for {known}, not for {other}"
    return ""


def encode_or_prove(
    dataset: Dataset,
    goal: FailFast,
    *,
    encode_block: EncodeBlock,
    scorer: Scorer,
    form: VectorForm,
    tolerance: float,
    batch_tokens: int,
) -> Encoded:
    """Encode the corpus in the order that proves a failure soonest.

    Args:
        dataset: with judged queries.
        goal: quality limits, of which only lower ones can be proven missed.
        encode_block: encodes documents.
        scorer: scores documents' vectors in their final form for the judged queries.
        form: the final form of documents' vectors.
        tolerance: see ``FailureProver``.
        batch_tokens: token budget of a batch; blocks that are small have smaller ones.

    Raises:
        ProvenFailure: a limit cannot be kept any more.
    """
    documents = len(dataset.doc_ids)
    unique, indices = distinct(dataset.doc_texts)
    order = EncodingOrder(dataset, earlier=goal.earlier)
    prover = FailureProver(dataset, goal.limits, tolerance=tolerance)
    blocks = BlockSizes(documents)
    goal.say(str(outlook(dataset, goal.limits, order.queue)))
    label = "document"
    tokens = DEFAULT_TEXT_TOKENS * documents
    vectors: Vectors | None = None
    parts: list[Encoded] = []
    seen = 0
    bounds = prover.bounds()
    while seen < documents:
        block = order.next(blocks.size(seen, prover.gap(bounds)))
        # The block's tokens are not counted yet: they are estimated from the previous block.
        budget = batch_budget(tokens * len(block) // documents, batch_tokens)
        encoded = encode_block([dataset.doc_texts[document] for document in block], budget, label)
        parts.append(encoded)
        if vectors is None:
            vectors = np.empty((len(unique), encoded.vectors.shape[1]), dtype=np.float32)
        rows = encoded.vectors[encoded.indices]
        vectors[[indices[document] for document in block]] = rows
        seen += len(block)
        # Extrapolated to the whole corpus, for the next block's estimate.
        tokens = encoded.tokens * documents // len(block)
        for start in range(0, len(block), MAX_SCORED):
            if seen == documents:
                break  # every document is encoded, so the ranking itself decides
            chunk = slice(start, start + MAX_SCORED)
            scores = scorer(form(rows[chunk]))
            prover.push(block[chunk], scores)
            order.learn(block[chunk], scores)
        bounds = prover.bounds()
        if failure := prover.proven(bounds):
            raise ProvenFailure(failure.limit.subject, failure.limit.show_bound(), failure.bound, failure.share)
        falling = ", ".join(f"{name} <= {bound:.4f}" for name, bound in bounds.items())
        label = f"{falling} after {prover.share:.0%} of the corpus"
    assert vectors is not None  # noqa: S101 - a dataset with judged queries has documents
    return _join(parts, vectors, indices)


def _join(parts: Sequence[Encoded], vectors: Vectors, indices: list[int]) -> Encoded:
    """Join the blocks to one encoded corpus."""
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
