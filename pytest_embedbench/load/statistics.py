"""Statistics of a profile, computed from raw latency samples that are kept beside it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from pytest_embedbench.core.bounded import Amount, Count
from pytest_embedbench.load.circumstances import Circumstances
from pytest_embedbench.load.quantiles import (
    PERCENTILES,
    Interval,
    percentile,
    percentile_interval,
    refusal,
    supported_percentile,
)
from pytest_embedbench.models.protocol import TokenSource

SERVER_PARTS = {
    "queue": ("x-queue-time", "queue", "queueing", "wait"),
    "tokenize": ("x-tokenization-time", "tokenize", "tokenization", "tokenizer"),
    "infer": ("x-inference-time", "infer", "inference", "forward", "compute"),
    "total": ("x-total-time", "openai-processing-ms", "x-litellm-response-duration-ms", "total"),
}
"""Parts of a server's time -> the headers (``remote/embeddings.py``) and Server-Timing metrics that report them."""

_PART_OF = {name: part for part, names in SERVER_PARTS.items() for name in names}

TOKENS_FROM: dict[TokenSource, str] = {"tokenizer": "", "usage": "the server's count", "estimate": "an estimate"}
"""Source of a side's tokens -> what follows its throughput; nothing where the model's own tokenizer counted them."""

Ended = Literal["precise", "time", "requests", "texts"]
"""Reason why a side ended: its intervals were narrow, its time was up, its requests were all sent, or there were no
more texts."""


class WarmUp(msgspec.Struct, frozen=True):
    """Requests sent before samples counted, and whether latencies had settled by then."""

    requests: Count
    settled: bool


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """Work of the in-process server: how long requests waited for a batch, and the batches that it formed.

    ``batch_sizes`` has pairs of a number of texts and the number of batches of that size; ``padding_share`` is
    the share of padding in all tokens that were processed.
    """

    queue_p50_ms: Amount | None
    queue_p99_ms: Amount | None
    batch_sizes: list[tuple[Count, Count]]
    padding_share: Amount


class ServerTime(msgspec.Struct, frozen=True, kw_only=True):
    """One part of an external server's time, in milliseconds a request; None where there are too few answers."""

    mean_ms: Amount
    p50_ms: Amount | None
    p99_ms: Amount | None


class ClientCost(msgspec.Struct, frozen=True, kw_only=True):
    """Cost of the load client itself, where the model is behind HTTP; it shows whether the client was the bottleneck.

    ``cpu_share`` is the share of one core that the client used under the load. ``capacity_per_s`` is the requests a
    second that as many clients reach against a server that does nothing but answer, with requests and answers of the
    same size.
    """

    cpu_share: Amount
    capacity_per_s: Amount


class Arrivals(msgspec.Struct, frozen=True, kw_only=True):
    """Arrivals of requests in an open loop, and whether the server kept up with them (``overload``).

    ``rate_per_s`` is the rate asked for, ``seconds`` runs from the first request to the last, ``lag_ms`` is the p99 of
    how late the load generator sent requests, and ``growth`` is by how many seconds latency grew in a second.
    ``kept_up`` is None where the load was too short to tell.
    """

    rate_per_s: Amount
    seconds: Amount
    lag_ms: Amount
    growth: Amount
    kept_up: bool | None


class SideStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of a profile's side (queries or corpus): latencies in milliseconds, rates per second of wall time.

    ``own_tokens`` counts the texts' own tokens; ``tokens`` adds prompts and special tokens. Rates count what was
    answered between the first send and the last answer, without the warm-up. A percentile with too few samples is None,
    and ``refused`` says why; every other percentile has an interval.
    """

    requests: Count
    texts: Count
    own_tokens: Count
    tokens: Count
    seconds: Amount
    p50_ms: Amount | None
    p90_ms: Amount | None
    p95_ms: Amount | None
    p99_ms: Amount | None
    mean_ms: Amount
    max_ms: Amount
    requests_per_s: Amount
    texts_per_s: Amount
    tokens_per_s: Amount
    distinct_texts: Count
    tokens_per_text: Amount | None = None
    """Mean number of a text's own tokens."""
    tokens_from: TokenSource | None = None
    """The least certain source of the tokens; None in results from before this was recorded."""
    intervals_ms: dict[str, Interval] = {}
    """``p50`` -> its interval at 95%; see ``quantiles``."""
    intervals_per_s: dict[str, Interval] = {}
    """``tokens_per_s`` -> its interval at 95%, where there are enough requests; see ``quantiles.rate_interval``."""
    refused: dict[str, str] = {}
    """``p99`` -> why it is not given."""
    ended: Ended | None = None
    unanswered: Count = 0
    """Requests of an open loop that were given up when its time was up; no other number counts them."""
    arrivals: Arrivals | None = None
    """None in a closed loop."""
    warm_up: WarmUp | None = None
    serving: Serving | None = None
    """None where an external server gathers the requests."""
    server: dict[str, ServerTime] = {}
    """An external server's own times: ``queue``, ``tokenize``, ``infer``, ``total``, or the name of another header."""
    client: ClientCost | None = None


class ProfileResult(msgspec.Struct, frozen=True, kw_only=True):
    """A load profile: its shape, the hardware that it ran on with its state, and both sides."""

    shape: str
    hardware: str
    query: SideStatistics
    corpus: SideStatistics
    note: str = ""
    circumstances: Circumstances | None = None


def summarize(
    latencies_ms: Sequence[float], *, batch: int, own_tokens: int, tokens: int, seconds: float, distinct_texts: int
) -> SideStatistics:
    """Return the statistics of one side.

    Args:
        latencies_ms: latencies of its requests; one at least.
        batch: texts in each request.
        own_tokens: the texts' own tokens, of all requests.
        tokens: the same with prompts and special tokens.
        seconds: wall time from the first send to the last answer.
        distinct_texts: number of distinct texts.
    """
    ordered = sorted(latencies_ms)
    requests = len(ordered)
    texts = requests * batch
    intervals = {name: ends for name, share in PERCENTILES.items() if (ends := percentile_interval(ordered, share))}
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
    """Return the statistics of the in-process server.

    Args:
        queue_ms: how long each request waited for its batch.
        batches: texts, tokens, and tokens with padding of each batch.
    """
    ordered = sorted(queue_ms)
    processed = sum(padded for _, _, padded in batches)
    padding = processed - sum(tokens for _, tokens, _ in batches)
    return Serving(
        queue_p50_ms=supported_percentile("p50", ordered),
        queue_p99_ms=supported_percentile("p99", ordered),
        batch_sizes=sorted(Counter(texts for texts, _, _ in batches).items()),
        padding_share=padding / processed if processed else 0.0,
    )


def by_part(answers: Iterable[Mapping[str, float]]) -> dict[str, ServerTime]:
    """Return the statistics of an external server's times, by part.

    Args:
        answers: for each answer, milliseconds by the name of the header. A header that belongs to no known part keeps
            its own name.
    """
    times_ms: defaultdict[str, list[float]] = defaultdict(list)
    for answer in answers:
        for part, time_ms in _parts(answer).items():
            times_ms[part].append(time_ms)
    return {part: _server_time(sorted(values)) for part, values in times_ms.items()}


def _parts(times_ms: Mapping[str, float]) -> dict[str, float]:
    """Return times by part instead of by header; if two headers report the same part, the first counts."""
    parts: dict[str, float] = {}
    for name, time_ms in times_ms.items():
        # Server-Timing metrics are named ``server-timing:NAME`` (``remote/embeddings.py``).
        parts.setdefault(_PART_OF.get(name.removeprefix("server-timing:").casefold(), name), time_ms)
    return parts


def _server_time(ordered: list[float]) -> ServerTime:
    p50, p99 = supported_percentile("p50", ordered), supported_percentile("p99", ordered)
    return ServerTime(mean_ms=sum(ordered) / len(ordered), p50_ms=p50, p99_ms=p99)
