"""A server for a model that takes several batches at once: which run side by side, and on how many cores."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from pytest_embedbench.encode.variant_encoder import variant_encoder
from pytest_embedbench.encode.vector_form import VectorForm
from pytest_embedbench.load.server import MicroBatcher, ServedBatch
from pytest_embedbench.machine import threads as cores
from pytest_embedbench.models.protocol import ModelFacts, ParallelEncoder, PreparedText
from pytest_embedbench.models.variants import FULL_VECTORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.load.server import ServedRequest
    from pytest_embedbench.models.protocol import Vectors

PATIENCE_S = 30
"""Seconds that a test waits for something that must happen at once, before it fails."""

ALL = 2
"""Threads that torch has in these tests, on any machine."""


def until(holds: Callable[[], bool], what: str) -> None:
    turn = threading.Event()
    for _ in range(PATIENCE_S * 1000):
        if holds():
            return
        turn.wait(0.001)
    pytest.fail(f"never came: {what}")


class Model:
    """Model that holds each batch, named by its first text, until the test lets it go; records torch's threads for it."""

    facts = ModelFacts(attention="sdpa, packed")

    def __init__(self) -> None:
        self.running: dict[str, threading.Event] = {}
        self.batches: list[list[str]] = []
        self.threads: dict[str, int] = {}
        self.most_at_once = 0

    @property
    def workers(self) -> int:
        return cores.workers()

    def side_by_side(self) -> AbstractContextManager[Executor]:
        return cores.side_by_side()

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        return [PreparedText(text, 4, 2) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        names = [text.payload for text in batch]
        self.threads[names[0]] = torch.get_num_threads()
        self.batches.append(names)
        self.running[names[0]] = go = threading.Event()
        self.most_at_once = max(self.most_at_once, len(self.running))
        assert go.wait(PATIENCE_S)
        del self.running[names[0]]
        return np.array([[float(name)] for name in names], np.float32)


class Scene:
    """A server with its model, and threads that call it."""

    def __init__(self, model: Model, server: MicroBatcher, pool: ThreadPoolExecutor) -> None:
        self.model, self.server, self.pool = model, server, pool
        self.answers: dict[str, Future[ServedRequest]] = {}

    def send(self, name: str) -> None:
        self.answers[name] = self.pool.submit(self.server.serve, [name], "query")

    def starts(self, name: str) -> None:
        self.send(name)
        until(lambda: name in self.model.running, f"{name} runs")

    def waits(self, name: str) -> None:
        before = len(self.server._waiting)
        self.send(name)
        until(lambda: len(self.server._waiting) > before, f"{name} waits")

    def finish(self, name: str) -> None:
        self.model.running[name].set()
        assert self.answers[name].result(PATIENCE_S).vectors.tolist() == [[float(name)]]


@pytest.fixture
def scene() -> Iterator[Scene]:
    """Return a server with two workers."""
    before = torch.get_num_threads()
    torch.set_num_threads(ALL)
    model = Model()
    with MicroBatcher(model, 4096) as server, ThreadPoolExecutor(64) as pool:
        yield Scene(model, server, pool)
        while pending := list(model.running):
            for name in pending:
                model.running[name].set()
            time.sleep(0.001)
    assert torch.get_num_threads() == ALL
    torch.set_num_threads(before)


def test_a_batch_alone_has_all_cores_and_company_has_its_share(scene: Scene) -> None:
    scene.starts("1")
    scene.starts("2")
    scene.finish("1")
    scene.starts("3")
    scene.finish("2")
    scene.finish("3")
    scene.starts("4")
    scene.finish("4")
    assert scene.model.threads == {"1": ALL, "2": 1, "3": 1, "4": ALL}
    assert scene.model.most_at_once == 2


def test_when_all_workers_are_busy_requests_gather_for_the_first_that_is_free(scene: Scene) -> None:
    scene.starts("1")
    scene.starts("2")
    for name in "345":
        scene.waits(name)
    scene.finish("2")
    until(lambda: "3" in scene.model.running, "the next batch runs")
    scene.finish("1")
    until(lambda: "5" in scene.model.running, "what is left runs")
    scene.finish("3")
    scene.finish("5")
    assert scene.model.batches == [["1"], ["2"], ["3", "4"], ["5"]]
    assert scene.server.batches == [
        ServedBatch(1, 4, 4),
        ServedBatch(1, 4, 4),
        ServedBatch(2, 8, 8),
        ServedBatch(1, 4, 4),
    ]
    assert scene.model.most_at_once == 2


def test_batches_share_what_waits_and_the_oldest_go_first(scene: Scene) -> None:
    scene.starts("1")
    scene.starts("2")
    names = [str(number) for number in range(10, 30)]
    for name in names:
        scene.waits(name)
    for name in ("1", "2"):
        scene.waits(name + "00")
    scene.finish("1")
    until(lambda: names[0] in scene.model.running, "the first batch")
    scene.finish("2")
    until(lambda: names[12] in scene.model.running, "the second batch")
    assert scene.model.batches[2:] == [names[:12], [*names[12:], "100", "200"]], "of 23, then of 22 that wait or run"
    assert scene.model.threads[names[0]] == 1


def test_a_request_says_how_long_it_waited(scene: Scene) -> None:
    scene.starts("1")
    scene.starts("2")
    scene.waits("3")
    began = time.perf_counter()
    time.sleep(0.02)
    waited = (time.perf_counter() - began) * 1000
    scene.finish("1")
    until(lambda: "3" in scene.model.running, "3 runs")
    scene.finish("3")
    queued = {name: scene.answers[name].result(PATIENCE_S).queue_ms for name in "13"}
    assert queued["3"] is not None
    assert queued["1"] is not None
    assert queued["3"] >= waited > queued["1"]


def test_an_error_in_one_batch_leaves_the_other_alone(scene: Scene) -> None:
    scene.starts("1")
    scene.send("nothing")
    until(lambda: "nothing" in scene.model.running, "it runs")
    scene.model.running["nothing"].set()
    with pytest.raises(ValueError, match="could not convert"):
        scene.answers["nothing"].result(PATIENCE_S)
    scene.finish("1")
    scene.starts("2")
    scene.finish("2")


def test_a_variant_runs_beside_itself_as_its_model_does() -> None:
    model = Model()
    variant = variant_encoder(model, VectorForm(FULL_VECTORS), model.facts)
    assert isinstance(variant, ParallelEncoder)
    assert variant.workers == model.workers
    with variant.side_by_side() as pool:
        assert pool.submit(torch.get_num_threads).result() == torch.get_num_threads() // model.workers


def test_a_variant_of_a_model_that_knows_of_no_workers_runs_one_by_one() -> None:
    class Plain:
        facts = ModelFacts()

        def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
            return [PreparedText(text, 4, 2) for text in texts]

        def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
            return np.zeros((len(batch), 1), np.float32)

    plain = Plain()
    variant = variant_encoder(plain, VectorForm(FULL_VECTORS), plain.facts)
    assert not isinstance(variant, ParallelEncoder)
    with MicroBatcher(variant, 64) as server:
        assert server.embed(["1"], "query").tolist() == [[0.0]]
