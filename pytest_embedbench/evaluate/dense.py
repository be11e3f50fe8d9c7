"""Rank a corpus by vectors: queries first, then the documents, which are searched while they are encoded."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from pytest_embedbench.core.batching import distinct
from pytest_embedbench.core.similarity import DEFAULT_SIMILARITY, Scorer
from pytest_embedbench.encode.batch_budget import DEFAULT_BATCH_TOKENS, Budget
from pytest_embedbench.encode.loop import Encoded, Stream, Work, encode
from pytest_embedbench.encode.progress import Progress, SilentProgress
from pytest_embedbench.encode.vector_form import VectorForm, calibration_documents, fit_form
from pytest_embedbench.evaluate.fail_fast.encoding import SCORE_TOLERANCE, FailFast, encode_or_prove, obstacle
from pytest_embedbench.evaluate.search import Search

if TYPE_CHECKING:
    from pytest_embedbench.core.runs import Run
    from pytest_embedbench.datasets.types import Dataset, Role
    from pytest_embedbench.encode.lookup import Cache
    from pytest_embedbench.models.protocol import Encoder, Vectors
    from pytest_embedbench.models.variants import Variant

    Part = tuple[Sequence[int], Vectors]
    """Positions among the distinct documents, and the model's vectors of these."""

EFFORT_FIELDS = (
    "seconds", "own_tokens", "tokens", "padded_tokens", "cached_texts", "cached_own_tokens", "full_texts",
)  # fmt: skip
"""Fields of ``Work`` that a result keeps."""


@dataclass(frozen=True)
class Encoding:
    """Settings for encoding texts; ``caches`` hold vectors of this very model, one cache for each role."""

    budget: Budget = field(default_factory=lambda: Budget(DEFAULT_BATCH_TOKENS["cpu"]))
    progress: Progress = field(default_factory=SilentProgress)
    caches: Mapping[Role, Cache] = field(default_factory=dict)

    def all(
        self, model: Encoder, texts: Sequence[str], role: Role, most_tokens: int | None = None, label: str = ""
    ) -> Encoded:
        """Encode these texts and return all of their vectors.

        Raises:
            ModelError: the model gave a vector that cannot be used.
        """
        return encode(
            model,
            texts,
            role,
            batch_tokens=self.budget,
            progress=self.progress,
            cache=self.caches.get(role),
            most_tokens=most_tokens,
            label=label,
        )


class Ranked(NamedTuple):
    """A ranking, its effort (seconds, tokens), and the form of the model's vectors that it was made of."""

    run: Run
    effort: dict[str, float]
    form: VectorForm


def rank(
    model: Encoder,
    dataset: Dataset,
    queries: Sequence[str],
    depth: int,
    *,
    variant: Variant,
    encoding: Encoding,
    fail_fast: FailFast | None,
) -> Ranked:
    """Rank the corpus for these queries (ids) by a variant's vectors; errors are those of ``evaluate``."""
    # Queries first: their few vectors stay in memory while the documents stream past.
    encoded_queries = encoding.all(model, [dataset.query_text[query] for query in queries], "query")
    reason = obstacle(model.facts, variant, dataset, fail_fast.limits) if fail_fast else ""
    if fail_fast and reason:
        fail_fast.say(f"no failure can be proven early: {reason}")
    texts, indices = distinct(dataset.doc_texts)
    form = VectorForm(variant, model.facts.normalized)
    similarity = model.facts.similarity or DEFAULT_SIMILARITY
    work: Work
    parts: Iterable[Part]
    if fail_fast and not reason:
        work = proven = encode_or_prove(
            dataset,
            fail_fast,
            encode_block=lambda block, most, label: encoding.all(model, block, "document", most, label),
            scorer=Scorer(similarity, form(encoded_queries.vectors)[encoded_queries.indices]),
            form=form,
            tolerance=SCORE_TOLERANCE[model.facts.dtype],
            batch_tokens=encoding.budget.tokens,
        )
        # Nothing was proven, so the whole corpus is there.
        parts = [(range(len(texts)), proven.vectors)]
    else:
        # int8 takes its ranges from a sample, so that is encoded first.
        sampled = variant.precision == "int8"
        stream = Stream(
            model,
            texts,
            "document",
            budget=encoding.budget,
            progress=encoding.progress,
            cache=encoding.caches.get("document"),
            first=[indices[document] for document in calibration_documents(dataset.doc_texts)] if sampled else (),
        )
        # The sample is a window of its own, the first one.
        windows = iter(stream)
        head = next(windows)
        form = fit_form(variant, model.facts, lambda: head.vectors)
        work = stream.work
        parts = ((window.positions, window.vectors) for window in chain([head], windows))
    # Documents with the same text share one vector; the search ranks all of them where their vector stands.
    groups: list[list[str]] = [[] for _ in texts]
    for doc, index in zip(dataset.doc_ids, indices, strict=True):
        groups[index].append(doc)
    search = Search(groups, form(encoded_queries.vectors)[encoded_queries.indices], queries, depth, similarity)
    # The stream encodes while it is iterated, so only the calls of the search are on its clock.
    searching = 0.0
    for positions, vectors in parts:
        began = time.perf_counter()
        search.push(positions, form(vectors))
        searching += time.perf_counter() - began
    began = time.perf_counter()
    run = search.run()
    searching += time.perf_counter() - began
    effort = {"search_seconds": searching, "batch_tokens": float(encoding.budget.tokens)}
    return Ranked(run, effort | _effort("corpus", work) | _effort("query", encoded_queries), form)


def _effort(side: str, work: Work) -> dict[str, float]:
    """Return the effort of encoding a side, by the names that it has in result files."""
    counted = {name: value for name, value in vars(work).items() if name in EFFORT_FIELDS}
    server = {f"server_ms:{name}": value for name, value in work.server_ms.items()}
    return {f"{side}_{name}": value for name, value in (counted | server).items()}
