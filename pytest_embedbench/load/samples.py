"""What a load leaves: a sample for each request, and the statistics of them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pytest_embedbench.load.quantiles import PERCENTILES, Interval, percentile, rate_interval
from pytest_embedbench.load.statistics import SideStatistics, by_part, describe_serving, summarize

if TYPE_CHECKING:
    from pytest_embedbench.load.server import ServedBatch
    from pytest_embedbench.models.protocol import PreparedText


class Sample(NamedTuple):
    """One request: when it was sent, or due in an open loop (seconds), and how long it took and waited.

    ``queue_ms`` is the part of the latency before its batch began; None where only a server knows. ``lag_ms`` is how
    late it was really sent in an open loop, which is part of its latency too.
    """

    sent_s: float
    latency_ms: float
    queue_ms: float | None = None
    lag_ms: float | None = None


class AnsweredRequest(NamedTuple):
    """A request's sample, its texts, the same as they were tokenized, and what a server says of its time (ms)."""

    sample: Sample
    raw: Sequence[str]
    texts: Sequence[PreparedText]
    server_ms: Mapping[str, float] = {}


def statistics_of(answered: Sequence[AnsweredRequest], batch: int, formed: Sequence[ServedBatch]) -> SideStatistics:
    """Statistics of requests of ``batch`` texts each, and of the batches that the server formed meanwhile."""
    samples = [one.sample for one in answered]
    prepared = [text for one in answered for text in one.texts]
    statistics = summarize(
        [sample.latency_ms for sample in samples],
        batch=batch,
        own_tokens=sum(text.own_tokens for text in prepared),
        tokens=sum(text.length for text in prepared),
        seconds=max(sample.sent_s + sample.latency_ms / 1000 for sample in samples),
        distinct_texts=len({text for one in answered for text in one.raw}),
    )
    waits = [sample.queue_ms for sample in samples if sample.queue_ms is not None]
    return msgspec.structs.replace(
        statistics,
        intervals_per_s=_rate_intervals(answered, batch, statistics.seconds),
        serving=describe_serving(waits, formed) if waits else None,
        server=by_part(one.server_ms for one in answered),
    )


def lateness_ms(samples: Sequence[Sample]) -> float:
    """How late an open loop's load generator itself was, p99."""
    return percentile(sorted(sample.lag_ms or 0.0 for sample in samples), PERCENTILES["p99"])


def _rate_intervals(answered: Sequence[AnsweredRequest], batch: int, seconds: float) -> dict[str, Interval]:
    """Intervals of the rates in ``SideStatistics``, by their names."""
    ends = [one.sample.sent_s + one.sample.latency_ms / 1000 for one in answered]
    counted = {
        "requests_per_s": [1.0] * len(answered),
        "texts_per_s": [float(batch)] * len(answered),
        "tokens_per_s": [float(sum(text.own_tokens for text in one.texts)) for one in answered],
    }
    found = {name: rate_interval(zip(ends, amounts, strict=True), seconds) for name, amounts in counted.items()}
    return {name: interval for name, interval in found.items() if interval}
