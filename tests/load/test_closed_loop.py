"""Load profiles: shapes, statistics, the micro-batching server and the closed loop around it."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.core.bounds import MAX_REQUEST_TEXTS, MAX_REQUESTS_IN_FLIGHT, MAX_REQUESTS_PER_SECOND
from pytest_embedbench.core.parsing import ParseError
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.load.closed_loop import WARM_UP_ROUNDS, WARM_UP_WINDOW, SideProfile, profile_side
from pytest_embedbench.load.quantiles import percentile
from pytest_embedbench.load.server import MicroBatcher, ServedBatch
from pytest_embedbench.load.shape import (
    LoadShape,
    OpenShape,
    Shape,
    parse_shape,
    shape_order,
)
from pytest_embedbench.load.statistics import WarmUp, summarize
from pytest_embedbench.models.protocol import ModelFacts, PreparedText

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Vectors

PATIENCE_S = 30
"""Seconds that a test waits for something that must happen at once, before it fails."""

# Shapes


@given(st.integers(1, MAX_REQUEST_TEXTS), st.integers(1, MAX_REQUESTS_IN_FLIGHT))
def test_a_shape_prints_as_it_parses(batch: int, concurrency: int) -> None:
    shape = LoadShape(batch, concurrency)
    assert parse_shape(str(shape)) == shape
    assert parse_shape(shape.slug) == shape
    assert not set(shape.slug) & set(" /\\:")


@pytest.mark.parametrize("text", ["b1 c16", " B1  C16 ", "b1-c16", "b1_c16", "b01 c016"])
def test_spellings_of_a_shape(text: str) -> None:
    assert parse_shape(text) == LoadShape(batch=1, concurrency=16)


@given(st.integers(1, MAX_REQUEST_TEXTS), st.floats(0, MAX_REQUESTS_PER_SECOND, exclude_min=True))
def test_a_shape_with_a_rate_prints_as_it_parses(batch: int, rate: float) -> None:
    shape = OpenShape(batch, rate)
    assert parse_shape(str(shape)) == shape
    assert parse_shape(shape.slug) == shape


@pytest.mark.parametrize(
    ("text", "rate", "printed"),
    [("b1 r50", 50, "b1 r50"), ("B1-R50.0", 50, "b1 r50"), (" b1  r0.5 ", 0.5, "b1 r0.5"), ("b1_r007", 7, "b1 r7")],
)
def test_spellings_of_a_rate(text: str, rate: float, printed: str) -> None:
    assert parse_shape(text) == OpenShape(batch=1, rate=rate)
    assert str(parse_shape(text)) == printed


def test_the_two_kinds_of_load_are_never_the_same() -> None:
    shapes: list[Shape] = [OpenShape(1, 50), LoadShape(2, 1), LoadShape(1, 50), OpenShape(1, 0.5), LoadShape(1, 4)]
    assert len(set(shapes)) == 5
    assert " ".join(map(str, sorted(shapes, key=shape_order))) == "b1 c4 b1 c50 b1 r0.5 b1 r50 b2 c1"


@pytest.mark.parametrize(
    "text",
    [
        *("", "b1", "c16", "c16 b1", "b1c16", "b0 c1", "b1 c0", "b1 c00", "b-1 c2", "1 16", "b1 c1.5", "b1 c4 r5"),
        *("b1 r0", "b1 r0.0", "b0 r5", "b1 r", "b1 r.5", "b1 r5.", "b1 r-5", "b1 r1e3", "b1 rinf"),
    ],
)
def test_what_is_said_of_a_wrong_shape(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        parse_shape(text)
    fix = (
        "write texts a request and requests in flight, e.g. 'b1 c16', "
        "or texts a request and requests a second, e.g. 'b1 r50'"
    )
    assert str(caught.value) == f"{text!r} is not a load profile; {fix}"


@pytest.mark.parametrize(
    "text",
    [
        "b1 c10001",
        "b10001 c1",
        "b1 c999999999",
        "b99999999999 c1",
        "b1 r1000001",
        f"b1 r{'9' * 400}",
        f"b{'9' * 900} c1",
    ],
)
def test_a_load_that_no_machine_can_make_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match="is too large a load; at most 10,000 texts a request") as caught:
        parse_shape(text)
    assert len(str(caught.value)) < 250


def test_a_zero_inside_a_number_is_not_zero() -> None:
    assert parse_shape("b10 c100") == LoadShape(10, 100)


# Statistics

latencies = st.integers(1, 500).flatmap(
    lambda count: st.lists(st.floats(0, 1e6), min_size=min(count, 40), max_size=min(count, 40)).map(
        lambda some: (some * (count // len(some) + 1))[:count]
    )
)


@given(latencies, st.floats(0, 1))
def test_percentiles_are_numpys(samples: list[float], share: float) -> None:
    expected = float(np.percentile(samples, share * 100))
    assert percentile(sorted(samples), share) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(latencies, st.integers(1, 8), st.floats(0.1, 100))
def test_summaries(samples: list[float], batch: int, seconds: float) -> None:
    result = summarize(samples, batch=batch, own_tokens=700, tokens=900, seconds=seconds, distinct_texts=3)
    needed = {"p50": 6, "p90": 36, "p95": 72, "p99": 368}
    for name, fewest in needed.items():
        value = getattr(result, f"{name}_ms")
        if len(samples) < fewest:
            assert value is None
            assert result.refused[name] == f"{name} needs {fewest} samples, there are {len(samples)}"
        else:
            assert value == pytest.approx(float(np.percentile(samples, int(name[1:]))), abs=1e-9)
            low, high = result.intervals_ms[name]
            assert low <= value <= high
    assert set(result.intervals_ms) | set(result.refused) == set(needed)
    assert result.mean_ms == pytest.approx(float(np.mean(samples)))
    assert result.max_ms == max(samples)
    assert (result.requests, result.texts) == (len(samples), len(samples) * batch)
    assert result.tokens_per_text == pytest.approx(700 / result.texts)
    assert result.requests_per_s * seconds == pytest.approx(len(samples))
    assert result.texts_per_s * seconds == pytest.approx(len(samples) * batch)
    assert result.tokens_per_s * seconds == pytest.approx(700), "the texts' own tokens, without prompt and padding"
    assert (result.own_tokens, result.tokens, result.seconds, result.distinct_texts) == (700, 900, seconds, 3)


def test_a_summary_leaves_the_samples_in_order_of_time() -> None:
    samples = [3.0, 1.0, 2.0]
    summarize(samples, batch=1, own_tokens=1, tokens=1, seconds=1, distinct_texts=1)
    assert samples == [3.0, 1.0, 2.0]


# The server


def vector_of(text: str, role: str) -> list[float]:
    return [float(len(text)), float(sum(map(ord, text))), float(role == "query")]


class Model:
    """Model that answers at once, unless the gate is closed; records its batches."""

    facts = ModelFacts()

    def __init__(self) -> None:
        self.batches: list[tuple[str, list[str]]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        return [PreparedText(text, len(text) + 2, len(text)) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        self.batches.append((role, [text.payload for text in batch]))
        self.entered.set()
        assert self.gate.wait(PATIENCE_S)
        if any(text.payload == "poison" for text in batch):
            raise ValueError("poisoned batch")
        return np.array([vector_of(text.payload, role) for text in batch], np.float32)


class Waiting:
    """Requests in the order in which they were sent, waiting in a server whose worker is held at the gate."""

    def __init__(self, server: MicroBatcher, model: Model) -> None:
        self.server, self.model = server, model
        self.pool = ThreadPoolExecutor(16)
        model.gate.clear()
        self.first = self.pool.submit(server.embed, ["first"], "query")
        assert model.entered.wait(PATIENCE_S)
        self.futures = [self.first]

    def send(self, texts: list[str], role: Role = "query") -> None:
        before = len(self.server._waiting)
        self.futures.append(self.pool.submit(self.server.embed, texts, role))
        turn = threading.Event()
        for _ in range(PATIENCE_S * 1000):
            if len(self.server._waiting) > before:
                return
            turn.wait(0.001)
        pytest.fail(f"{texts} never came to wait")

    def release(self) -> None:
        self.model.gate.set()

    def batches(self) -> list[tuple[str, list[str]]]:
        """Let the worker go on; return its batches after the first."""
        self.release()
        for future in self.futures:
            future.exception(PATIENCE_S)
        return self.model.batches[1:]


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    """Return a server with a budget of 30 tokens (texts take two more than letters) whose worker is held."""
    model = Model()
    with MicroBatcher(model, 30) as server:
        held = Waiting(server, model)
        yield held
        held.release()
        held.pool.shutdown()


def test_sixteen_threads_get_their_own_vectors() -> None:
    model = Model()
    requests: list[tuple[list[str], Role]] = [
        ([f"{client}:{n}:{'x' * (n % 7)}{i}" for i in range(1 + n % 3)], "query" if n % 2 else "document")
        for client in range(16)
        for n in range(25)
    ]
    with MicroBatcher(model, 64) as server, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda request: server.embed(*request).tolist(), requests))
    assert answers == [[vector_of(text, role) for text in texts] for texts, role in requests]
    sent = Counter((role, text) for texts, role in requests for text in texts)
    assert Counter((role, text) for role, batch in model.batches for text in batch) == sent


def test_what_waits_is_one_batch(waiting: Waiting) -> None:
    for text in "abc":
        waiting.send([text])
    assert waiting.batches() == [("query", ["a", "b", "c"])]
    assert [future.result().tolist() for future in waiting.futures] == [
        [vector_of(text, "query")] for text in ("first", "a", "b", "c")
    ]


def test_a_batch_keeps_the_budget_with_padding(waiting: Waiting) -> None:
    """Lengths with special tokens 10, 10, 9, 9: three of them padded to 10 fill 30, the fourth must wait."""
    for text in ("a" * 8, "b" * 8, "c" * 7, "d" * 7):
        waiting.send([text])
    assert waiting.batches() == [("query", ["a" * 8, "b" * 8, "c" * 7]), ("query", ["d" * 7])]


def test_texts_that_are_padded_go_with_those_of_like_length(waiting: Waiting) -> None:
    """Lengths 3, 10, 3, 3: with the long one, the budget of 30 holds three of them; it goes next, as the oldest."""
    for text in ("a", "b" * 8, "c", "d"):
        waiting.send([text])
    assert waiting.batches() == [("query", ["a", "c", "d"]), ("query", ["b" * 8])]
    assert waiting.server.batches[1:] == [ServedBatch(3, 9, 9), ServedBatch(1, 10, 10)]


def test_padding_is_counted(waiting: Waiting) -> None:
    waiting.send(["a", "b" * 6])
    waiting.send(["c"])
    waiting.batches()
    assert waiting.server.batches == [ServedBatch(1, 7, 7), ServedBatch(3, 14, 24)]


def test_texts_without_padding_go_in_the_order_in_which_they_came() -> None:
    model = Model()
    model.facts = ModelFacts(attention="sdpa, packed")
    with MicroBatcher(model, 30) as server:
        held = Waiting(server, model)
        for text in ("a", "b" * 15, "c", "d", "e" * 8):
            held.send([text])
        assert held.batches() == [("query", ["a", "b" * 15, "c", "d"]), ("query", ["e" * 8])]
        held.pool.shutdown()
    assert server.batches[1:] == [ServedBatch(4, 26, 26), ServedBatch(1, 10, 10)]


def test_a_request_over_the_budget_goes_alone(waiting: Waiting) -> None:
    waiting.send(["x" * 50, "y"])
    waiting.send(["z"])
    assert waiting.batches() == [("query", ["x" * 50, "y"]), ("query", ["z"])]


def test_a_request_is_never_split_and_a_short_one_may_pass(waiting: Waiting) -> None:
    waiting.send(["a"] * 6)
    waiting.send(["b"] * 6)
    waiting.send(["c"])
    assert waiting.batches() == [("query", ["a"] * 6 + ["c"]), ("query", ["b"] * 6)]


def test_roles_do_not_mix(waiting: Waiting) -> None:
    roles: list[Role] = ["document", "query", "document", "query"]
    for text, role in zip("abcd", roles, strict=True):
        waiting.send([text], role)
    assert waiting.batches() == [("document", ["a", "c"]), ("query", ["b", "d"])]
    answers = [future.result().tolist() for future in waiting.futures[1:]]
    assert answers == [[vector_of(text, role)] for text, role in zip("abcd", roles, strict=True)]


def test_an_error_reaches_everyone_in_the_batch_and_nobody_else(waiting: Waiting) -> None:
    waiting.send(["a"])
    waiting.send(["poison"])
    waiting.send(["b"], "document")
    waiting.batches()
    errors = [future.exception() for future in waiting.futures]
    assert [str(error) if error else "" for error in errors] == ["", "poisoned batch", "poisoned batch", ""]
    assert waiting.server.embed(["after"], "query").tolist() == [vector_of("after", "query")]


def test_an_error_in_tokenization_reaches_its_caller() -> None:
    class Untokenizable(Model):
        def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
            raise UnicodeError("lone surrogate")

    with MicroBatcher(Untokenizable(), 30) as server, pytest.raises(UnicodeError, match="lone surrogate"):
        server.embed(["\ud800"], "query")


def test_closing_answers_what_waits_and_ends_the_worker() -> None:
    model = Model()
    server = MicroBatcher(model, 30)
    with server:
        held = Waiting(server, model)
        held.send(["late"])
        # The gate opens only once the server is being closed with a request still waiting.
        threading.Thread(target=_open_when_closed, args=(server, model)).start()
    assert held.futures[1].result(PATIENCE_S).tolist() == [vector_of("late", "query")]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("embedbench-batcher")]
    held.pool.shutdown()


def _open_when_closed(server: MicroBatcher, model: Model) -> None:
    turn = threading.Event()
    for _ in range(PATIENCE_S * 1000):
        if server._closed:
            break
        turn.wait(0.001)
    model.gate.set()


def test_a_closed_server_refuses_rather_than_hangs() -> None:
    server = MicroBatcher(Model(), 30)
    with server:
        pass
    with ThreadPoolExecutor(1) as pool:
        error = pool.submit(server.embed, ["a"], "query").exception(PATIENCE_S)
    assert str(error) == "the server is closed"


def test_a_request_without_texts_does_not_stop_the_server() -> None:
    with MicroBatcher(Model(), 30) as server, ThreadPoolExecutor(1) as pool:
        assert pool.submit(server.embed, [], "query").result(PATIENCE_S).shape[0] == 0
        assert pool.submit(server.embed, ["a"], "query").result(PATIENCE_S).tolist() == [vector_of("a", "query")]


def test_too_few_vectors_are_an_error_not_a_hang() -> None:
    class Lossy(Model):
        def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
            return super().forward(batch, role)[:-1]

    with MicroBatcher(Lossy(), 30) as server, ThreadPoolExecutor(1) as pool:
        error = pool.submit(server.embed, ["a", "b"], "query").exception(PATIENCE_S)
    assert str(error) == "the model gave 1 vectors for 2 texts"


# The closed loop


class Counting:
    """Model that answers only when as many requests are in flight as a phase can have; counts them.

    A request is in flight from its tokenization (in the client's thread) to its vectors.
    """

    facts = ModelFacts()

    def __init__(self, shape: LoadShape, phases: Sequence[int]) -> None:
        self.shape = shape
        self.left = list(phases)
        """Requests still to be answered, by phase: warm-up, then measured."""
        self.in_flight = 0
        self.seen: list[int] = []
        self.texts: list[list[str]] = []
        self.changed = threading.Condition()

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        with self.changed:
            if any(self.left):
                self.in_flight += 1
                self.texts.append(list(texts))
                self.changed.notify_all()
        return [PreparedText(text, len(text) + 2, len(text)) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        with self.changed:
            phase = next(index for index, left in enumerate(self.left) if left)
            wanted = min(self.shape.concurrency, self.left[phase])
            full = self.changed.wait_for(lambda: self.in_flight >= wanted, PATIENCE_S)
            assert full, f"{self.in_flight} in flight where {wanted} should be"
            self.seen.append(self.in_flight)
            requests = len(batch) // self.shape.batch
            self.in_flight -= requests
            self.left[phase] -= requests
        return np.zeros((len(batch), 2), np.float32)


def profile(
    model: Counting | Model,
    texts: Sequence[str],
    shape: LoadShape,
    *,
    requests: int = 10**6,
    budget: int = 40,
) -> SideProfile:
    return profile_side(
        model, texts, "query", shape, requests=requests, seconds=3600, batch_tokens=budget, progress=SilentProgress()
    )


def test_a_short_time_still_lets_each_client_send_once() -> None:
    shape = LoadShape(1, 4)
    model = Model()
    texts = [f"text {n}" for n in range(100)]
    result = profile_side(
        model, texts, "query", shape, requests=90, seconds=1e-9, batch_tokens=100, progress=SilentProgress()
    )
    assert 4 <= result.statistics.requests < 90
    assert result.statistics.ended == "time"


@pytest.mark.parametrize("shape", [LoadShape(1, 1), LoadShape(1, 4), LoadShape(3, 16), LoadShape(2, 5)], ids=str)
@pytest.mark.parametrize("budget", [1, 40, 10**6])
def test_exactly_so_many_requests_are_in_flight(shape: LoadShape, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = 5 * shape.concurrency + 1
    monkeypatch.setattr("pytest_embedbench.load.closed_loop.is_warmed_up", lambda medians: len(medians) == 1)
    warm_up = max(WARM_UP_ROUNDS * shape.concurrency, WARM_UP_WINDOW)
    texts = [f"text {n}" for n in range((5 * warm_up + requests) * shape.batch)]
    model = Counting(shape, [warm_up, requests])
    result = profile(model, texts, shape, requests=requests, budget=budget)
    assert max(model.seen) == shape.concurrency
    assert model.left == [0, 0]
    assert model.in_flight == 0

    assert result.statistics.requests == len(result.samples) == requests
    assert result.statistics.texts == result.statistics.distinct_texts == requests * shape.batch
    assert all(len(batch) == shape.batch for batch in model.texts)
    sent = [text for batch in model.texts for text in batch]
    assert len(sent) == len(set(sent)) == (warm_up + requests) * shape.batch, "no cache can answer, warm-up included"
    counted = sent[warm_up * shape.batch :]
    assert result.statistics.own_tokens == sum(map(len, counted))
    assert result.statistics.tokens == sum(len(text) + 2 for text in counted)


def test_samples_are_times_within_the_profile() -> None:
    result = profile(Model(), [f"text {n}" for n in range(400)], LoadShape(2, 4), requests=50)
    assert len(result.samples) == 50
    assert all(sample.sent_s >= 0 and sample.latency_ms > 0 for sample in result.samples)
    last = max(sample.sent_s + sample.latency_ms / 1000 for sample in result.samples)
    assert result.statistics.seconds == pytest.approx(last)
    assert result.statistics.max_ms == max(sample.latency_ms for sample in result.samples)


def test_the_sample_is_the_same_every_time_and_not_the_first_texts() -> None:
    texts = [f"text {n}" for n in range(400)]
    shape = LoadShape(1, 1)
    models = [Model(), Model()]
    for model in models:
        profile(model, texts, shape, requests=20)
    one, other = ([text for _, batch in model.batches for text in batch][-20:] for model in models)
    assert one == other, "however many requests warm up"
    assert sorted(one) != sorted(texts[: len(one)])


def test_few_texts_make_a_short_profile_without_repetition() -> None:
    result = profile(Model(), [f"text {n}" for n in range(40)] * 3 + [""], LoadShape(2, 2))
    assert result.statistics.texts == result.statistics.distinct_texts == 30, "20 requests, of which 5 warm up"
    assert (result.statistics.warm_up, result.statistics.ended) == (WarmUp(5, settled=False), "texts")


def test_fewer_texts_than_clients_are_repeated() -> None:
    result = profile(Model(), ["one", "two", "three"], LoadShape(1, 8))
    assert (result.statistics.requests, result.statistics.distinct_texts) == (8, 3)


def test_fewer_texts_than_one_request_takes_are_repeated() -> None:
    result = profile(Model(), ["one", "two", "three"], LoadShape(8, 2))
    assert (result.statistics.requests, result.statistics.texts, result.statistics.distinct_texts) == (2, 16, 3)


@pytest.mark.parametrize("clients", [1, 4])
def test_an_error_ends_the_profile_and_reaches_the_caller(clients: int) -> None:
    model = Model()
    texts = [f"text {n}" for n in range(200)] + ["poison"]
    with pytest.raises(ValueError, match="poisoned batch"):
        profile(model, texts, LoadShape(1, clients))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("embedbench-batcher")]
