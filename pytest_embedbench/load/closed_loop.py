"""A closed loop: ``concurrency`` clients, each sending its next request when the last one returned."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pytest_embedbench.encode.plan import distinct
from pytest_embedbench.load.server import MicroBatcher
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.load.statistics import SideStatistics, summarize

if TYPE_CHECKING:
    from pytest_embedbench.encode.loop import Progress
    from pytest_embedbench.models.protocol import Encoder, Role

SEED = 20260615
"""The sample of texts is the same in every session, so that sessions compare."""

WARM_UP_ROUNDS = 2
"""Requests that each client sends before samples count."""


PROGRESS_SECONDS = 0.5


class Sample(NamedTuple):
    """One request: when it was sent (seconds from the first counted send) and how long it took."""

    sent_s: float
    latency_ms: float


class SideProfile(NamedTuple):
    """One side's statistics and the samples they come from."""

    statistics: SideStatistics
    samples: list[Sample]


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
    """Profile one role: at most ``requests`` counted requests and about ``seconds`` of them.

    Texts are drawn without repetition, so that no cache answers; where a dataset holds too few of them, the profile
    is shorter rather than repetitive, unless that would leave fewer requests than clients.
    """
    unique, _ = distinct([text for text in texts if text] or [""])
    random.Random(SEED).shuffle(unique)
    batches = [unique[start : start + shape.batch] for start in range(0, len(unique), shape.batch)]
    batches = [batch for batch in batches if len(batch) == shape.batch] or [(unique * shape.batch)[: shape.batch]]
    warm_up = min(shape.concurrency * WARM_UP_ROUNDS, max(1, len(batches) // 4))
    counted = batches[warm_up:][:requests]
    if len(counted) < shape.concurrency:
        counted = (batches * (shape.concurrency // len(batches) + 1))[: shape.concurrency]
    with MicroBatcher(model, batch_tokens) as server:
        _drive(server, batches[:warm_up], role, shape.concurrency, float("inf"), progress)
        samples, done, wall = _drive(server, counted, role, shape.concurrency, seconds, progress)
    sent = [text for batch in done for text in batch]
    prepared = model.prepare(sent, role)
    statistics = summarize(
        [sample.latency_ms for sample in samples],
        batch=shape.batch,
        own_tokens=sum(text.own_tokens for text in prepared),
        tokens=sum(text.length for text in prepared),
        seconds=wall,
        distinct_texts=len(set(sent)),
    )
    return SideProfile(statistics, samples)


def _drive(
    server: MicroBatcher, batches: list[list[str]], role: Role, clients: int, seconds: float, progress: Progress
) -> tuple[list[Sample], list[list[str]], float]:
    """Send the batches from ``clients`` threads; samples, batches answered, and wall seconds to the last answer."""
    samples: list[Sample] = []
    done: list[list[str]] = []
    errors: list[BaseException] = []
    lock = threading.Lock()
    queue = iter(batches)
    start = time.perf_counter()

    def client() -> None:
        while not errors:
            with lock:
                # Each client sends once at least, however short the time.
                go_on = time.perf_counter() - start < seconds or len(samples) < clients
                batch = next(queue, None) if go_on else None
            if batch is None:
                return
            sent = time.perf_counter()
            try:
                server.embed(batch, role)
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                errors.append(error)
                return
            took = time.perf_counter() - sent
            with lock:
                samples.append(Sample(sent - start, took * 1000))
                done.append(batch)

    progress.start(f"{role} load", sum(map(len, batches)))
    threads = [threading.Thread(target=client, daemon=True) for _ in range(clients)]
    shown = 0
    try:
        for thread in threads:
            thread.start()
        # The clients write nothing to the terminal: that would cost the latency that they measure.
        for thread in threads:
            while thread.is_alive():
                thread.join(PROGRESS_SECONDS)
                answered = len(done)
                progress.advance(sum(map(len, done[shown:answered])))
                shown = answered
    finally:
        progress.finish()
    if errors:
        raise errors[0]
    return samples, done, max((s.sent_s + s.latency_ms / 1000 for s in samples), default=0.0)
