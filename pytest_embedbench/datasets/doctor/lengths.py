"""Measure texts, in characters and in a model's tokens, and count those that the model cuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from pytest_embedbench.datasets.doctor.languages import evenly_spaced
from pytest_embedbench.datasets.types import Dataset, Finding, Role

MAX_COUNTED_TEXTS = 20_000
"""Documents, and queries, whose tokens are counted, evenly spaced."""


class SupportsTokenLengths(Protocol):
    """Counts a model's tokens."""

    @property
    def model(self) -> str: ...

    @property
    def limit(self) -> int | None:
        """Tokens at which the model cuts a text; None if it does not."""
        ...

    def lengths(self, texts: Sequence[str], role: Role) -> list[int]:
        """Return the tokens of each text as the model would get it, with prompt and special tokens, but not cut."""
        ...


class Lengths(msgspec.Struct, frozen=True, kw_only=True):
    """Distribution of the lengths of texts; percentiles by linear interpolation, as ``numpy.percentile`` has them."""

    texts: int
    shortest: int
    mean: float
    p50: float
    p90: float
    p99: float
    longest: int


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """Lengths in a model's tokens, prompt and special tokens included; ``cut`` texts exceed the model's limit."""

    lengths: Lengths
    cut: int


def summarize(values: Sequence[int]) -> Lengths | None:
    """Return the distribution of lengths; None if there are none."""
    if not values:
        return None
    import numpy as np  # slow to import, and not needed by runs

    ordered = sorted(values)
    p50, p90, p99 = (float(value) for value in np.percentile(ordered, [50, 90, 99]))
    return Lengths(
        texts=len(ordered),
        shortest=ordered[0],
        mean=sum(ordered) / len(ordered),
        p50=p50,
        p90=p90,
        p99=p99,
        longest=ordered[-1],
    )


def tokens(dataset: Dataset, counter: SupportsTokenLengths) -> tuple[dict[str, Tokens], list[Finding]]:
    """Return the lengths of ``documents`` and ``queries`` (those that are ranked), and a finding for each that is cut.

    Raises:
        ModelError: the tokenizer cannot be used.
    """
    sides: dict[str, tuple[Role, Sequence[str], Sequence[str]]] = {
        "documents": ("document", dataset.doc_ids, dataset.doc_texts),
        "queries": ("query", dataset.ranked_queries, [dataset.query_text[query] for query in dataset.ranked_queries]),
    }
    by_side: dict[str, Tokens] = {}
    findings = []
    for side, (role, ids, texts) in sides.items():
        sample = evenly_spaced(list(zip(ids, texts, strict=True)), MAX_COUNTED_TEXTS)
        counts = counter.lengths([text for _, text in sample], role)
        limit = counter.limit
        cut = [key for (key, _), count in zip(sample, counts, strict=True) if limit and count > limit]
        if lengths := summarize(counts):
            by_side[side] = Tokens(lengths=lengths, cut=len(cut))
        if cut:
            part = f"{side} ({len(cut) / len(sample):.1%} of {len(sample):,})"
            findings.append(
                Finding(
                    code=f"cut-{side}",
                    message=f"{part} are longer than the {limit:,} tokens of {counter.model}, which drops the rest",
                    count=len(cut),
                    first=cut[0],
                    fix="split long texts, raise max_seq_length if the model can take more, or use a model that does",
                )
            )
    return by_side, findings
