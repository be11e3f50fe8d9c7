"""Vectors of requests that are in flight together, as many as while texts are encoded."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from pytest_embedbench.conformance.outcome import Probe, ProbeOutcome, skipped
from pytest_embedbench.conformance.repeat import judge_distances
from pytest_embedbench.conformance.samples import PROBE_TEXTS
from pytest_embedbench.conformance.subject import Subject, distances
from pytest_embedbench.models.protocol import ParallelEncoder, ServedEncoder

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import PreparedText, Vectors

BATCH_TEXTS = 4
"""Texts of a request, at most."""

ROUNDS = 4
"""Requests for each one that may be in flight."""

MAX_REQUESTS = 96
"""Requests, at most, unless more may be in flight at once."""


class _Batch(NamedTuple):
    """Texts of one request, by their places among ``PROBE_TEXTS``."""

    places: list[int]
    prepared: list[PreparedText]

    @property
    def texts(self) -> list[str]:
        return [PROBE_TEXTS[place] for place in self.places]

    def part(self, positions: Sequence[int]) -> _Batch:
        """Return the batch with only the texts at these positions."""
        return _Batch([self.places[index] for index in positions], [self.prepared[index] for index in positions])


def _concurrency(subject: Subject) -> ProbeOutcome:
    model = subject.model
    if isinstance(model, ServedEncoder):
        at_once, most_texts = model.pace.requests, min(BATCH_TEXTS, model.limits.texts)
    elif isinstance(model, ParallelEncoder):
        # Its batches run in any thread, also where texts are encoded by one worker.
        at_once, most_texts = max(2, model.workers), BATCH_TEXTS
    else:
        return skipped("it runs one batch after the other")
    if at_once == 1:
        return skipped("it gets one request after the other (concurrency = 1)")
    # First, while nothing else is in flight.
    alone = subject.alone(PROBE_TEXTS, "document")
    batches = _batches(subject, max(at_once, min(ROUNDS * at_once, MAX_REQUESTS)), most_texts)
    apart = dict.fromkeys(PROBE_TEXTS, 0.0)
    for batch, vectors in _run(model, batches):
        for place, distance in zip(batch.places, distances(vectors, alone[batch.places]), strict=True):
            apart[PROBE_TEXTS[place]] = max(apart[PROBE_TEXTS[place]], float(distance))
    return judge_distances(
        subject,
        apart,
        f"alone, and with {at_once} requests in flight",
        cause="requests that are in flight together exchange their vectors, or share a buffer",
        fix="another version of the server; or concurrency = 1 in the model's definition, until it is mended",
    )


def _batches(subject: Subject, count: int, texts: int) -> list[_Batch]:
    """Return batches of short and long texts, in another order each time."""
    prepared = subject.model.prepare(PROBE_TEXTS, "document")
    step = 7  # has no divisor in common with the number of texts, so that every text has its turn
    places = itertools.cycle((number * step) % len(PROBE_TEXTS) for number in range(len(PROBE_TEXTS)))
    chosen = [list(itertools.islice(places, texts)) for _ in range(count)]
    return [_Batch(row, [prepared[place] for place in row]) for row in chosen]


def _run(model: ServedEncoder | ParallelEncoder, batches: Sequence[_Batch]) -> list[tuple[_Batch, Vectors]]:
    if isinstance(model, ServedEncoder):
        # Imported here: it imports numpy, which reading a suite does not need.
        from pytest_embedbench.models.served.requests import answers

        return [(batch, answer.vectors) for batch, answer in answers(model, batches, "document")]
    with model.side_by_side() if model.workers > 1 else ThreadPoolExecutor(2) as pool:
        return list(
            zip(batches, pool.map(lambda batch: model.forward(batch.prepared, "document"), batches), strict=True)
        )


PROBES = (
    Probe("concurrency", "Does a text get the same vector alone and while other requests are in flight?", _concurrency),
)
