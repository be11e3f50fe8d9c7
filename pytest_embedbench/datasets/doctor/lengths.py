"""How long texts are, in characters and in a model's tokens, and how many of them the model cuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from pytest_embedbench.datasets.doctor.languages import spread
from pytest_embedbench.datasets.types import Dataset, Finding, Role

SAMPLE = 20_000
"""Texts of a side whose tokens are counted, evenly spaced."""


class Counter(Protocol):
    """Counts a model's tokens."""

    @property
    def model(self) -> str: ...

    @property
    def limit(self) -> int | None:
        """Tokens at which the model cuts a text; None: it does not."""
        ...

    def lengths(self, texts: Sequence[str], role: Role) -> list[int]:
        """Tokens of each text as the model would get it, uncut, with prompt and special tokens."""
        ...


class Lengths(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles by linear interpolation."""

    texts: int
    shortest: int
    mean: float
    p50: float
    p90: float
    p99: float
    longest: int


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """One side's texts in a model's tokens, prompt and special tokens included; ``cut`` of them exceed the limit."""

    lengths: Lengths
    cut: int


def summarize(values: Sequence[int]) -> Lengths | None:
    """None where there is nothing to summarize."""
    if not values:
        return None
    import numpy as np

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


def tokens(dataset: Dataset, counter: Counter) -> tuple[dict[str, Tokens], list[Finding]]:
    """Tokens of ``documents`` and of ``queries`` (those that are ranked), and a finding for a side that is cut.

    Raises:
        ModelError: the tokenizer cannot be used.
    """
    sides: dict[str, tuple[Role, Sequence[str], Sequence[str]]] = {
        "documents": ("document", dataset.doc_ids, dataset.doc_texts),
        "queries": ("query", dataset.ranked_queries, [dataset.query_text[query] for query in dataset.ranked_queries]),
    }
    found: dict[str, Tokens] = {}
    findings = []
    for side, (role, ids, texts) in sides.items():
        chosen = spread(list(zip(ids, texts, strict=True)), SAMPLE)
        counts = counter.lengths([text for _, text in chosen], role)
        limit = counter.limit
        cut = [key for (key, _), count in zip(chosen, counts, strict=True) if limit and count > limit]
        if lengths := summarize(counts):
            found[side] = Tokens(lengths=lengths, cut=len(cut))
        if cut:
            part = f"{side} ({len(cut) / len(chosen):.1%} of {len(chosen):,})"
            findings.append(
                Finding(
                    code=f"cut-{side}",
                    message=f"{part} are longer than the {limit:,} tokens of {counter.model}, which drops the rest",
                    count=len(cut),
                    first=cut[0],
                    fix="split long texts, raise max_seq_length if the model can take more, or use a model that does",
                )
            )
    return found, findings
