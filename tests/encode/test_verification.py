"""Vectors of servers and functions are verified before they are kept: each kind of mix-up is found, rounding is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_embedbench.encode import keeping
from pytest_embedbench.encode.cache import VectorCache
from pytest_embedbench.encode.distances import apart
from pytest_embedbench.encode.lookup import CachedVectors
from pytest_embedbench.encode.loop import Encoded, encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.encode.verification import DifferentVectorsError, largest_difference
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.callable import CallableModel
from pytest_embedbench.models.protocol import SERVED_DEVICE, AnsweredBatch, Limits, ModelFacts, PreparedText
from tests.support.served_fake import ServedFake

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Vectors

DIMENSIONS = 64
WORDS = ["amber", "basin", "cedar", "delta", "ember", "fjord", "grove", "heath", "islet", "jetty"]
TEXTS = [" ".join([f"text{number}", *WORDS[: 4 + number % 6]]) for number in range(900)]


@cache
def vector(text: str) -> Vectors:
    made = np.random.default_rng(np.frombuffer(text.encode() + b".", np.uint8)).standard_normal(DIMENSIONS)
    return np.asarray(made / np.linalg.norm(made), np.float32)


def shaken(vectors: Vectors, size: float, *seed: int) -> Vectors:
    """Move vectors by a random step, whose length is ``size``: a distance of about half its square."""
    steps = np.random.default_rng(seed).standard_normal(vectors.shape)
    return np.asarray(vectors + size * steps / np.linalg.norm(steps, axis=1, keepdims=True), np.float32)


Serve = Callable[["Server", list[str], bool], "Vectors"]


class Server(ServedFake):
    """A server with one token a word. ``serve`` gives a request's vectors; it learns whether others are in flight."""

    facts = ModelFacts(dimensions=DIMENSIONS, device=SERVED_DEVICE)

    def __init__(self, serve: Serve, **limits: int) -> None:
        self.serve = serve
        super().__init__(Limits(**{"texts": 32, "tokens": 8192, "requests": 8, **limits}))
        self.busy = self.idle = 0
        """Texts that came in requests beside others, and alone."""
        self.requests = 0
        self.last: list[str] = []

    def prepare(self, texts: Sequence[str], _: Role) -> list[PreparedText]:
        return [PreparedText(text, len(text.split()), len(text.split())) for text in texts]

    def submit(self, batch: Sequence[PreparedText], _: Role, **__: object) -> Future[AnsweredBatch]:
        self.busy += len(batch)
        future: Future[AnsweredBatch] = Future()
        try:
            future.set_result(AnsweredBatch(self._answer(batch, busy=True), batch, {}))
        except ModelError as error:
            future.set_exception(error)
        return future

    def forward(self, batch: Sequence[PreparedText], _: Role) -> Vectors:
        self.idle += len(batch)
        return self._answer(batch, busy=False)

    def _answer(self, batch: Sequence[PreparedText], *, busy: bool) -> Vectors:
        self.requests += 1
        texts = [text.payload for text in batch]
        vectors = self.serve(self, texts, busy)
        self.last = texts
        return vectors


def right(texts: Sequence[str]) -> Vectors:
    return np.array([vector(text) for text in texts])


def longest(texts: Sequence[str]) -> int:
    return max(len(text.split()) for text in texts)


def code(texts: Sequence[str]) -> int:
    """A number for a batch as a whole."""
    return sum(map(ord, "".join(texts)))


def rotated(server: Server, texts: list[str], busy: bool) -> Vectors:
    return np.roll(right(texts), 1, axis=0) if busy else right(texts)


def rotated_now_and_then(server: Server, texts: list[str], busy: bool) -> Vectors:
    return rotated(server, texts, busy and server.requests % 20 == 7)


def of_another_request(server: Server, texts: list[str], busy: bool) -> Vectors:
    given = server.last if busy and len(server.last) == len(texts) else texts
    return right(given)


def too_long(server: Server, texts: list[str], busy: bool) -> Vectors:
    return right(texts) * (2 if busy else 1)


def coarse_while_busy(server: Server, texts: list[str], busy: bool) -> Vectors:
    """An idle server computes in float32, with its noise; a busy one in 16 bits."""
    return shaken(right(texts), 0.05 if busy else 3e-4, code(texts))


def padding_without_mask(server: Server, texts: list[str], busy: bool) -> Vectors:
    padding = np.array([longest(texts) - len(text.split()) for text in texts])[:, None]
    moved = right(texts) + 0.1 * padding * vector("padding")
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), np.float32)


def wrong_at_equal_length(server: Server, texts: list[str], busy: bool) -> Vectors:
    equal = len(texts) > 1 and len({len(text.split()) for text in texts}) == 1
    return right(texts)[::-1] if equal else right(texts)


def remembers_longer_ones(server: Server, texts: list[str], busy: bool) -> Vectors:
    if server.last and longest(server.last) > longest(texts):
        return right(texts) + 0.5 * vector(server.last[0])
    return right(texts)


def another_weight_each_time(server: Server, texts: list[str], busy: bool) -> Vectors:
    return shaken(right(texts), 0.3, server.requests)


WRONG: dict[str, tuple[Serve, str]] = {
    "texts of a batch exchanged": (rotated, "concurrency = 1"),
    "one request in twenty": (rotated_now_and_then, "concurrency = 1"),
    "vectors of another request": (of_another_request, "concurrency = 1"),
    "lengths": (too_long, "length 2 and not 1"),
    "16 bits only while busy": (coarse_while_busy, "concurrency = 1"),
    "padding is not masked": (padding_without_mask, "batch_texts = 1"),
    "equal lengths": (wrong_at_equal_length, "batch_texts = 1"),
    "a short text after a long one": (remembers_longer_ones, "apart"),
    "replicas of different weights": (another_weight_each_time, "all replicas serve one model"),
}


class DictCache:
    def __init__(self) -> None:
        self.texts: set[str] = set()

    def read(self, texts: Sequence[str]) -> CachedVectors:
        return CachedVectors(None, range(len(texts)))

    def write(self, texts: Sequence[str], prepared: Sequence[PreparedText], vectors: Vectors) -> None:
        self.texts |= set(texts)

    def remove(self, texts: Sequence[str]) -> None:
        self.texts -= set(texts)


def run(model: Any, texts: Sequence[str] = TEXTS, cache: Any = None) -> Encoded:
    return encode(model, texts, "document", batch_tokens=200, progress=SilentProgress(), cache=cache)


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_vectors_are_an_error_and_none_is_kept(fault: str) -> None:
    serve, said = WRONG[fault]
    cache = DictCache()
    with pytest.raises(DifferentVectorsError, match=r"\d apart") as caught:
        run(Server(serve), cache=cache)
    assert said in str(caught.value)
    assert not cache.texts


def test_the_message_says_how_large_the_difference_is_for_which_text_and_how_it_was_asked() -> None:
    with pytest.raises(DifferentVectorsError) as caught:
        run(Server(rotated))
    first, second, third = str(caught.value).splitlines()
    assert first.startswith(
        "a document's vector that came while up to 8 requests of up to 32 texts were in flight is 1."
    )
    assert "(1 - cosine) from the one that came with nothing else in flight; rounding explains 0.005: 'text" in first
    assert second == "  64 of 64 texts that were asked for again got another vector; none is kept"
    assert third.startswith("  fix: the same request alone gives the right vector")


NOISE: dict[str, Serve] = {
    "none": lambda _, texts, __: right(texts),
    "float32": lambda _, texts, __: shaken(right(texts), 3e-4, code(texts)),
    "bf16": lambda server, texts, __: shaken(right(texts), 0.02, code(texts)),
    "a large model in bf16": lambda server, texts, __: shaken(right(texts), 0.05, code(texts)),
    "bf16 that gathers texts only while busy": lambda _, texts, busy: (
        shaken(right(texts), 0.05, code(texts)) if busy else right(texts)
    ),
    "atomic sums": lambda server, texts, __: shaken(right(texts), 0.02, server.requests),
    "int8 by the range of the batch": lambda _, texts, __: shaken(right(texts), 0.25 * (len(texts) > 1), code(texts)),
}


@pytest.mark.parametrize("kind", NOISE)
@pytest.mark.parametrize("requests", [1, 8])
def test_rounding_is_no_error(kind: str, requests: int) -> None:
    cache = DictCache()
    encoded = run(Server(NOISE[kind], requests=requests), cache=cache)
    assert cache.texts == set(TEXTS)
    assert apart(encoded.vectors, right(TEXTS)).max() < 0.05


def test_lengths_that_change_from_call_to_call_are_called_that() -> None:
    def any_length(server: Server, texts: list[str], _: bool) -> Vectors:
        return right(texts) * (1 + server.requests % 5)

    with pytest.raises(
        DifferentVectorsError, match=r"apart \(1 - cosine, length [1-5] and not [1-5]\): 'text"
    ) as found:
        run(Server(any_length))
    assert "one text twice" in str(found.value)


def test_few_texts_are_asked_again() -> None:
    server = Server(NOISE["float32"])
    run(server)
    assert server.idle == keeping.FIRST_SAMPLE
    large = Server(NOISE["none"])
    run(large, [f"{number} {text}" for number in range(20) for text in TEXTS])
    assert large.busy == 18_000
    assert large.idle < 0.02 * large.busy


def test_a_slow_server_is_asked_less_and_progress_counts_what_it_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Shown(SilentProgress):
        total = done = 0

        def start(self, label: str, total: int) -> None:
            self.total = total

        def expect(self, total: int) -> None:
            self.total = total

        def advance(self, tokens: int) -> None:
            self.done += tokens

    monkeypatch.setattr(keeping, "SLOW_SECONDS", 0.0)
    for texts, again in ((40, 16), (100, 25), (900, 64)):
        server, shown = Server(NOISE["none"]), Shown()
        encode(server, TEXTS[:texts], "document", batch_tokens=200, progress=shown)
        assert server.idle == again
        assert shown.done == shown.total > sum(len(text.split()) for text in TEXTS[:texts])


def test_a_corpus_smaller_than_the_sample_is_asked_again_whole() -> None:
    server = Server(NOISE["none"])
    run(server, TEXTS[:10])
    assert (server.busy, server.idle) == (10, 10)


def test_a_single_text_was_alone_already() -> None:
    server = Server(NOISE["none"])
    run(server, TEXTS[:1])
    assert (server.busy, server.idle) == (1, 0)


def test_what_earlier_rounds_kept_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(keeping, "FIRST_ROUND_TEXTS", 300)
    monkeypatch.setattr(keeping, "ROUND_TEXTS", 300)
    session = VectorCache(tmp_path)
    cache = session.spaces("served", "f", Server.facts, {})["document"]
    written: list[int] = []

    def late(server: Server, texts: list[str], busy: bool) -> Vectors:
        wrong = server.busy > 660
        written.append(len(TEXTS) - len(cache.read(TEXTS).missing))
        return rotated(server, texts, busy and wrong)

    with pytest.raises(DifferentVectorsError):
        run(Server(late), cache=cache)
    assert max(written) >= 600  # two rounds were right, as far as their samples went
    assert len(cache.read(TEXTS).missing) == len(TEXTS)
    session.close()


class Failing(Server):
    """A server that refuses a text, and after that answers only if it is ``alive``."""

    def __init__(self, serve: Serve, *, alive: bool) -> None:
        super().__init__(serve, requests=1)
        self.alive, self.refused = alive, False

    def submit(self, batch: Sequence[PreparedText], _: Role, **__: object) -> Future[AnsweredBatch]:
        refuses = any("text800 " in text.payload for text in batch)
        self.refused = self.refused or refuses
        if not refuses and (self.alive or not self.refused):
            return super().submit(batch, _)
        future: Future[AnsweredBatch] = Future()
        future.set_exception(ModelError("HTTP 400: no"))
        return future


def test_what_came_before_a_failure_is_verified_and_kept() -> None:
    cache = DictCache()
    with pytest.raises(ModelError, match=r"\d+ of 900 texts were encoded before; the embedding cache has them"):
        run(Failing(NOISE["none"], alive=True), cache=cache)
    assert 0 < len(cache.texts) < 900


def test_what_cannot_be_verified_after_a_failure_is_not_kept() -> None:
    cache = DictCache()
    said = r"texts were encoded before; the embedding cache has 0 of them for the next run; the others could not be"
    with pytest.raises(ModelError, match=said):
        run(Failing(NOISE["none"], alive=False), cache=cache)
    assert not cache.texts


def test_wrong_vectors_before_a_failure_are_the_error() -> None:
    cache = DictCache()
    with pytest.raises(DifferentVectorsError):
        run(Failing(rotated, alive=True), cache=cache)
    assert not cache.texts


def test_a_function_is_verified_too() -> None:
    def exchanged(texts: Sequence[str], _: str) -> Vectors:
        return np.roll(right(texts), 1, axis=0)

    def padded(texts: Sequence[str], _: str) -> Vectors:
        return padding_without_mask(Server(NOISE["none"]), list(texts), False)

    for function in (exchanged, padded):
        with pytest.raises(DifferentVectorsError, match=r"in a batch|beside other texts"):
            run(CallableModel(function))
    assert run(CallableModel(lambda texts, _: right(texts))).vectors == pytest.approx(right(TEXTS))


def test_local_models_are_not_asked_again() -> None:
    class Plain:
        """Neither a server nor a function."""

        facts = ModelFacts(dimensions=DIMENSIONS, device="cpu")
        encoded = 0

        def prepare(self, texts: Sequence[str], _: Role) -> list[PreparedText]:
            return [PreparedText(text, 1, 1) for text in texts]

        def forward(self, batch: Sequence[PreparedText], _: Role) -> Vectors:
            self.encoded += len(batch)
            return right([text.payload for text in batch])

    model = Plain()
    run(model)
    assert model.encoded == len(TEXTS)


def test_texts_without_spaces_show_coarse_arithmetic_too() -> None:
    texts = [f"無料で粗大ごみを引き取ってくれる町{number}" for number in range(40)]
    found = run(Server(NOISE["int8 by the range of the batch"]), texts)
    assert apart(found.vectors, right(texts)).max() < 0.05


def test_limits_follow_the_models_own_noise() -> None:
    assert largest_difference(1e-7) == pytest.approx(1e-5)
    assert largest_difference(1e-5) == pytest.approx(8e-5)
    assert largest_difference(1e-3) == pytest.approx(5e-3)
    assert largest_difference(1e-1) == pytest.approx(0.2)
    assert largest_difference(0) == pytest.approx(5e-3)


def test_distances_count_lengths_too() -> None:
    one = np.array([[3.0, 4.0]], np.float32)
    assert apart(one, one).tolist() == [0.0]
    assert apart(one, -one).tolist() == pytest.approx([2.0])
    assert apart(one, 2 * one).tolist() == pytest.approx([0.25])
    assert apart(one, 0 * one).tolist() == [np.inf]
    assert apart(0 * one, 0 * one).tolist() == [0.0]
    assert apart(one, np.full_like(one, np.nan)).tolist() == [np.inf]
