"""What a load leaves: a sample for each request, and the statistics of them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pytest_embedbench.load.server_times import by_part
from pytest_embedbench.load.statistics import SideStatistics, describe_serving, summarize

if TYPE_CHECKING:
    from pytest_embedbench.load.server import Batch
    from pytest_embedbench.models.protocol import PreparedText


class Sample(NamedTuple):
    """One request: when it was sent, or due in an open loop (seconds), and how long it took and waited.

    ``queue_ms`` is the part of the latency before its batch began; None where only a server knows.
    """

    sent_s: float
    latency_ms: float
    queue_ms: float | None = None


class Answered(NamedTuple):
    """A request's sample, its texts, the same as they were tokenized, and what a server says of its time (ms)."""

    sample: Sample
    raw: Sequence[str]
    texts: Sequence[PreparedText]
    server_ms: Mapping[str, float] = {}


def statistics_of(answered: Sequence[Answered], batch: int, formed: Sequence[Batch]) -> SideStatistics:
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
        serving=describe_serving(waits, formed) if waits else None,
        server=by_part(one.server_ms for one in answered),
    )
