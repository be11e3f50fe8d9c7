"""What a profile reports, computed from raw latency samples that are kept beside it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class SideStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One side (queries or corpus) of a profile. Latencies in milliseconds, rates per second of wall time.

    ``own_tokens`` are the texts' own; ``tokens`` adds prompts and special tokens. Rates count what was answered
    between the first send and the last answer, warm-up excluded.
    """

    requests: int
    texts: int
    own_tokens: int
    tokens: int
    seconds: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    mean_ms: float
    max_ms: float
    requests_per_s: float
    texts_per_s: float
    tokens_per_s: float
    distinct_texts: int


class ProfileResult(msgspec.Struct, frozen=True, kw_only=True):
    """A closed-loop profile: its shape, the hardware it ran on, and both sides."""

    shape: str
    hardware: str
    query: SideStatistics
    corpus: SideStatistics
    note: str = ""


def percentile(ordered: Sequence[float], share: float) -> float:
    """The ``share`` quantile of sorted samples by linear interpolation (Hyndman & Fan 1996, type 7; numpy's)."""
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def summarize(
    latencies_ms: Sequence[float], *, batch: int, own_tokens: int, tokens: int, seconds: float, distinct_texts: int
) -> SideStatistics:
    """Statistics of one side from its samples (milliseconds) and the wall time (seconds) they took together."""
    ordered = sorted(latencies_ms)
    requests = len(ordered)
    return SideStatistics(
        requests=requests,
        texts=requests * batch,
        own_tokens=own_tokens,
        tokens=tokens,
        seconds=seconds,
        p50_ms=percentile(ordered, 0.50),
        p90_ms=percentile(ordered, 0.90),
        p95_ms=percentile(ordered, 0.95),
        p99_ms=percentile(ordered, 0.99),
        mean_ms=sum(ordered) / requests,
        max_ms=ordered[-1],
        requests_per_s=requests / seconds,
        texts_per_s=requests * batch / seconds,
        tokens_per_s=own_tokens / seconds,
        distinct_texts=distinct_texts,
    )
