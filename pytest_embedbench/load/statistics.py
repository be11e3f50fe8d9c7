"""What a profile reports, computed from raw latency samples that are kept beside it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from pytest_embedbench.load.circumstances import Circumstances
from pytest_embedbench.load.quantiles import (
    PERCENTILES,
    Interval,
    percentile,
    percentile_interval,
    refusal,
    supported_percentile,
)

Ended = Literal["precise", "time", "requests", "texts"]
"""Why a side ended: its intervals were narrow, its time was up, its requests were all sent, or there were no more
texts."""


class WarmUp(msgspec.Struct, frozen=True):
    """What was sent before samples counted, and whether latencies had settled by then."""

    requests: int
    settled: bool


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """What the in-process server did: how long requests waited for a batch, and the batches that it formed.

    ``batch_sizes`` has rows of texts in a batch and batches of so many; ``padding_share`` is padding over all tokens
    that were processed.
    """

    queue_p50_ms: float | None
    queue_p99_ms: float | None
    batch_sizes: list[tuple[int, int]]
    padding_share: float


class ClientCost(msgspec.Struct, frozen=True, kw_only=True):
    """The load client's own part, where the model is behind HTTP: is it the client that was measured?

    ``cpu_share`` is how much of one core it used under the load; ``capacity_per_s`` the requests a second that as many
    clients reach against a server that only answers, with requests and answers of the same size.
    """

    cpu_share: float
    capacity_per_s: float


class Arrivals(msgspec.Struct, frozen=True, kw_only=True):
    """How requests came in an open loop, and whether the server kept up with them; see overload.py.

    ``rate_per_s`` is what was asked for, ``seconds`` is from the first request to the last one, ``lag_ms`` the p99 of
    how late the load generator itself was, and ``growth`` by how many seconds latency grew in a second. ``kept_up`` is
    None where the load was too short to tell.
    """

    rate_per_s: float
    seconds: float
    lag_ms: float
    growth: float
    kept_up: bool | None


class SideStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One side (queries or corpus) of a profile. Latencies in milliseconds, rates per second of wall time.

    ``own_tokens`` are the texts' own; ``tokens`` adds prompts and special tokens. Rates count what was answered
    between the first send and the last answer, warm-up excluded. A percentile that has too few samples is None, and
    ``refused`` says why; the others have an interval.
    """

    requests: int
    texts: int
    own_tokens: int
    tokens: int
    seconds: float
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    mean_ms: float
    max_ms: float
    requests_per_s: float
    texts_per_s: float
    tokens_per_s: float
    distinct_texts: int
    tokens_per_text: float | None = None
    """The texts' own tokens."""
    intervals_ms: dict[str, Interval] = {}
    """``p50`` -> its interval at 95%; see quantiles.py."""
    intervals_per_s: dict[str, Interval] = {}
    """``tokens_per_s`` -> its interval at 95%, where there are enough requests; see rate_interval.py."""
    refused: dict[str, str] = {}
    """``p99`` -> why there is none."""
    ended: Ended | None = None
    unanswered: int = 0
    """Requests of an open loop that were given up when its time was over; they are in no other number."""
    arrivals: Arrivals | None = None
    """None of a closed loop."""
    warm_up: WarmUp | None = None
    serving: Serving | None = None
    """None where a server that is not ours gathers requests."""
    server: dict[str, ServerTime] = {}
    """What such a server says of its own time: ``queue``, ``tokenize``, ``infer``, ``total``, or its header's name."""
    client: ClientCost | None = None


class ProfileResult(msgspec.Struct, frozen=True, kw_only=True):
    """A load profile: its shape, the hardware it ran on and its state, and both sides."""

    shape: str
    hardware: str
    query: SideStatistics
    corpus: SideStatistics
    note: str = ""
    circumstances: Circumstances | None = None


def summarize(
    latencies_ms: Sequence[float], *, batch: int, own_tokens: int, tokens: int, seconds: float, distinct_texts: int
) -> SideStatistics:
    """Statistics of one side from its samples (milliseconds) and the wall time (seconds) they took together."""
    ordered = sorted(latencies_ms)
    requests = len(ordered)
    texts = requests * batch
    intervals = {name: found for name, share in PERCENTILES.items() if (found := percentile_interval(ordered, share))}
    values = {name: percentile(ordered, PERCENTILES[name]) for name in intervals}
    return SideStatistics(
        requests=requests,
        texts=texts,
        own_tokens=own_tokens,
        tokens=tokens,
        seconds=seconds,
        p50_ms=values.get("p50"),
        p90_ms=values.get("p90"),
        p95_ms=values.get("p95"),
        p99_ms=values.get("p99"),
        mean_ms=sum(ordered) / requests,
        max_ms=ordered[-1],
        requests_per_s=requests / seconds,
        texts_per_s=texts / seconds,
        tokens_per_s=own_tokens / seconds,
        distinct_texts=distinct_texts,
        tokens_per_text=own_tokens / texts,
        intervals_ms=intervals,
        refused={name: why for name in PERCENTILES if (why := refusal(name, requests))},
    )


def describe_serving(queue_ms: Sequence[float], batches: Sequence[tuple[int, int, int]]) -> Serving:
    """The server's part, from each request's wait (milliseconds) and each batch's texts, tokens and padded tokens."""
    ordered = sorted(queue_ms)
    processed = sum(padded for _, _, padded in batches)
    padding = processed - sum(tokens for _, tokens, _ in batches)
    return Serving(
        queue_p50_ms=supported_percentile("p50", ordered),
        queue_p99_ms=supported_percentile("p99", ordered),
        batch_sizes=sorted(Counter(texts for texts, _, _ in batches).items()),
        padding_share=padding / processed if processed else 0.0,
    )


PARTS = {
    "queue": ("x-queue-time", "queue", "queueing", "wait"),
    "tokenize": ("x-tokenization-time", "tokenize", "tokenization", "tokenizer"),
    "infer": ("x-inference-time", "infer", "inference", "forward", "compute"),
    "total": ("x-total-time", "openai-processing-ms", "x-litellm-response-duration-ms", "total"),
}
"""Parts, and the names of headers (remote/embeddings.py) and of metrics of Server-Timing that speak of them."""

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
    p50, p99 = supported_percentile("p50", ordered), supported_percentile("p99", ordered)
    return ServerTime(mean_ms=sum(ordered) / len(ordered), p50_ms=p50, p99_ms=p99)
