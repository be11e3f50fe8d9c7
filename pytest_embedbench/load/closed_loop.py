"""A closed loop: ``concurrency`` clients, each sending its next request when the last one returned."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pytest_embedbench.core.batching import distinct
from pytest_embedbench.load.clients.choose import clients_for
from pytest_embedbench.load.clients.interface import Clients, LoadControl, LoadOutcome
from pytest_embedbench.load.samples import Sample, statistics_of
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.load.statistics import Ended, SideStatistics, WarmUp
from pytest_embedbench.load.stopping import is_precise, is_warmed_up

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.encode.progress import Progress
    from pytest_embedbench.models.protocol import Encoder

LOAD_SEED = 20260615
"""The sample of texts is the same in every session, so that sessions compare."""

WARM_UP_ROUNDS = 2
"""Requests that each client sends in a window of the warm-up."""

WARM_UP_WINDOW = 10
"""Requests in such a window at least: the median of fewer says little where texts differ in length."""

WARM_UP_WINDOWS = 20
"""Windows at most."""

WARM_UP_SHARE = 0.25
"""Of the texts, and of the time that a side may take: warm-up is over when it has used so much, settled or not."""


class SideProfile(NamedTuple):
    """One side's statistics and the samples they come from."""

    statistics: SideStatistics
    samples: list[Sample]


def shuffled_texts(texts: Sequence[str], chance: random.Random | None = None) -> list[str]:
    """The distinct texts that are not empty, in a random order that is the same in every session, or by ``chance``."""
    unique, _ = distinct([text for text in texts if text] or [""])
    (chance or random.Random(LOAD_SEED)).shuffle(unique)
    return unique


def profile_side(
    model: Encoder,
    texts: Sequence[str],
    role: Role,
    shape: LoadShape,
    *,
    requests: int,
    seconds: float,
    batch_tokens: int,
    progress: Progress,
) -> SideProfile:
    """Profile one role until its percentiles are precise (enough.py), or after ``requests`` or about ``seconds``.

    Texts are drawn without repetition, so that no cache answers; where a dataset holds too few of them, the profile
    is shorter rather than repetitive, unless that would leave fewer requests than clients.
    """
    with clients_for(model, role, shape, batch_tokens) as clients:

        def send(counted: Sequence[list[str]]) -> LoadOutcome:
            return clients.closed(counted, LoadControl(seconds, is_precise, progress.advance))

        return measure_side(clients, texts, role, shape, send, requests=requests, seconds=seconds, progress=progress)


def measure_side(
    clients: Clients,
    texts: Sequence[str],
    role: Role,
    shape: LoadShape,
    send: Callable[[Sequence[list[str]]], LoadOutcome],
    *,
    requests: int,
    seconds: float,
    progress: Progress,
) -> SideProfile:
    """Warm up with a closed loop of this shape, then ``send`` the requests that count, ``requests`` of them at most."""
    unique = shuffled_texts(texts)
    batches = [unique[start : start + shape.batch] for start in range(0, len(unique), shape.batch)]
    batches = [batch for batch in batches if len(batch) == shape.batch] or [(unique * shape.batch)[: shape.batch]]
    # From the end: what is counted is the same in every session, however long warm-up takes.
    warm_up = _warm_up(clients, batches[::-1], shape.concurrency, seconds)
    counted = batches[: len(batches) - warm_up.requests][:requests]
    ran_out: Ended = "requests" if len(counted) == requests else "texts"
    if len(counted) < shape.concurrency:
        counted = (batches * (shape.concurrency // len(batches) + 1))[: shape.concurrency]
    formed = len(clients.batches)
    progress.start(f"{role} load", sum(map(len, counted)))
    try:
        sent = send(counted)
    finally:
        progress.finish()
    statistics = msgspec.structs.replace(
        statistics_of(sent.answered, shape.batch, clients.batches[formed:]),
        unanswered=sent.unanswered,
        ended=sent.ended or ran_out,
        warm_up=warm_up,
        client=clients.cost,
    )
    return SideProfile(statistics, [one.sample for one in sent.answered])


def _warm_up(clients: Clients, batches: Sequence[list[str]], count: int, seconds: float) -> WarmUp:
    """Send windows of requests until their medians settle; the requests of each are all answered before the next."""
    most = max(1, int(len(batches) * WARM_UP_SHARE))
    size = max(WARM_UP_ROUNDS * count, WARM_UP_WINDOW)
    start, sent = time.perf_counter(), 0
    medians: list[float] = []
    while sent < most and len(medians) < WARM_UP_WINDOWS:
        window = batches[sent : min(most, sent + size)]
        answered = clients.closed(window).answered
        sent += len(window)
        medians.append(median(one.sample.latency_ms for one in answered))
        if is_warmed_up(medians):
            return WarmUp(sent, settled=True)
        if time.perf_counter() - start > seconds * WARM_UP_SHARE:
            break
    return WarmUp(sent, settled=False)
