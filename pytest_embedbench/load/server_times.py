"""What a server says of its own time, by part of its work: servers name the parts each in its own way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from pytest_embedbench.load.quantiles import supported

PARTS = {
    "queue": ("x-queue-time", "queue", "queueing", "wait"),
    "tokenize": ("x-tokenization-time", "tokenize", "tokenization", "tokenizer"),
    "infer": ("x-inference-time", "infer", "inference", "forward", "compute"),
    "total": ("x-total-time", "openai-processing-ms", "x-litellm-response-duration-ms", "total"),
}
"""Parts, and the names of headers (endpoint/embeddings.py) and of metrics of Server-Timing that speak of them."""

_PART = {name: part for part, names in PARTS.items() for name in names}


class ServerTime(msgspec.Struct, frozen=True, kw_only=True):
    """One part, in milliseconds a request; a percentile that has too few answers is None."""

    mean_ms: float
    p50_ms: float | None
    p99_ms: float | None


def by_part(answers: Iterable[Mapping[str, float]]) -> dict[str, ServerTime]:
    """Times of all answers (milliseconds by header) by part; a header that names no known part stays as it is."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for times in answers:
        for part, took in _parts(times).items():
            found[part].append(took)
    return {part: _summary(sorted(values)) for part, values in found.items()}


def _parts(times: Mapping[str, float]) -> dict[str, float]:
    """Of two headers that speak of one part, the first counts."""
    parts: dict[str, float] = {}
    for name, took in times.items():
        parts.setdefault(_PART.get(name.removeprefix("server-timing:").casefold(), name), took)
    return parts


def _summary(ordered: list[float]) -> ServerTime:
    p50, p99 = supported("p50", ordered), supported("p99", ordered)
    return ServerTime(mean_ms=sum(ordered) / len(ordered), p50_ms=p50, p99_ms=p99)
