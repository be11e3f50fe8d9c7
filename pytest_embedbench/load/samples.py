"""Samples of a load, one for each request, and the statistics computed from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pytest_embedbench.load.quantiles import PERCENTILES, Interval, percentile, rate_interval
from pytest_embedbench.load.statistics import SideStatistics, by_part, describe_serving, summarize

if TYPE_CHECKING:
    from pytest_embedbench.load.server import ServedBatch
    from pytest_embedbench.models.protocol import PreparedText, TokenSource


class Sample(NamedTuple):
    """One request: when it was sent or, in an open loop, due (seconds from the start), and how long it took.

    ``queue_ms`` is the part of the latency before its batch began; None where only an external server knows it.
    ``lag_ms`` is how late an open loop sent the request, which is part of the latency too; None in a closed loop.
    """

    sent_s: float
    latency_ms: float
    queue_ms: float | None = None
    lag_ms: float | None = None


class AnsweredRequest(NamedTuple):
    """An answered request: its sample, its texts as given and as tokenized, and the server's own times.

    ``server_ms`` has milliseconds by the name of the server's header; empty where the server reports none.
    """

    sample: Sample
    raw: Sequence[str]
    texts: Sequence[PreparedText]
    server_ms: Mapping[str, float] = {}


def statistics_of(answered: Sequence[AnsweredRequest], batch: int, formed: Sequence[ServedBatch]) -> SideStatistics:
    """Return the statistics of a load.

    Args:
        answered: its answered requests.
        batch: texts in each request.
        formed: batches that the in-process server formed meanwhile; empty for another server.
    """
    samples = [request.sample for request in answered]
    prepared = [text for request in answered for text in request.texts]
    statistics = summarize(
        [sample.latency_ms for sample in samples],
        batch=batch,
        own_tokens=sum(text.own_tokens for text in prepared),
        tokens=sum(text.length for text in prepared),
        seconds=max(sample.sent_s + sample.latency_ms / 1000 for sample in samples),
        distinct_texts=len({text for request in answered for text in request.raw}),
    )
    # The in-process server times every wait, an external server none.
    waits = [sample.queue_ms for sample in samples if sample.queue_ms is not None]
    return msgspec.structs.replace(
        statistics,
        intervals_per_s=_rate_intervals(answered, batch, statistics.seconds),
        tokens_from=token_source(prepared),
        serving=describe_serving(waits, formed) if waits else None,
        server=by_part(request.server_ms for request in answered),
    )


def token_source(texts: Sequence[PreparedText]) -> TokenSource:
    """Return the least certain source of the texts' numbers of tokens."""
    sources = {text.counted_by for text in texts}
    return next(source for source in ("estimate", "usage", "tokenizer") if source in sources or source == "tokenizer")


def lateness_ms(samples: Sequence[Sample]) -> float:
    """Return how late an open loop sent its requests: the p99, in milliseconds."""
    return percentile(sorted(sample.lag_ms or 0.0 for sample in samples), PERCENTILES["p99"])


def _rate_intervals(answered: Sequence[AnsweredRequest], batch: int, seconds: float) -> dict[str, Interval]:
    """Return the intervals of the rates in ``SideStatistics``, by the names of their fields."""
    ends = [request.sample.sent_s + request.sample.latency_ms / 1000 for request in answered]
    counted = {
        "requests_per_s": [1.0] * len(answered),
        "texts_per_s": [float(batch)] * len(answered),
        "tokens_per_s": [float(sum(text.own_tokens for text in request.texts)) for request in answered],
    }
    intervals = {name: rate_interval(zip(ends, amounts, strict=True), seconds) for name, amounts in counted.items()}
    return {name: interval for name, interval in intervals.items() if interval}
