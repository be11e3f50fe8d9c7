"""The stream of windows: every text once, in order, with no more than a few windows in memory."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.encode import window as window_module
from pytest_embedbench.encode.batch_budget import Budget
from pytest_embedbench.encode.lookup import CachedVectors
from pytest_embedbench.encode.loop import Stream, encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.encode.window import Window, windows
from pytest_embedbench.models.protocol import ModelFacts, PreparedText

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Vectors


class Letters:
    """Model whose vectors hold a text's length and letters; it runs in threads of its own if there are ``workers``."""

    facts = ModelFacts()

    def __init__(self) -> None:
        self.tokenized: list[tuple[str, list[str]]] = []
        self.ran: list[str] = []

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        self.tokenized.append((threading.current_thread().name, list(texts)))
        return [PreparedText(text, len(text) + 1, len(text)) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        self.ran.append(threading.current_thread().name)
        return np.array([[len(text.payload), sum(map(ord, text.payload))] for text in batch], np.float32)


class Parallel(Letters):
    workers = 2

    def side_by_side(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.workers, "worker")


def vectors_of(texts: Sequence[str]) -> list[list[float]]:
    return [[len(text), sum(map(ord, text))] for text in texts]


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_module, "MAX_WINDOW_TEXTS", 3)
    monkeypatch.setattr(window_module, "FIRST_WINDOW_TEXTS", 3)


def streamed(model: Letters, texts: Sequence[str], **more: object) -> Stream:
    return Stream(model, texts, "document", budget=Budget(8), progress=SilentProgress(), **more)  # type: ignore[arg-type]


@given(st.lists(st.text(max_size=5), unique=True, max_size=30), st.data())
def test_windows_cover_every_text_once(texts: list[str], data: st.DataObject) -> None:
    first = data.draw(st.lists(st.sampled_from(range(len(texts))), unique=True)) if texts else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window_module, "MAX_WINDOW_TEXTS", 4)
        patch.setattr(window_module, "FIRST_WINDOW_TEXTS", 2)
        patch.setattr(window_module, "MAX_WINDOW_CHARACTERS", 9)
        result = list(windows(texts, first))
    if first:
        assert result.pop(0) == first
    rest = [position for window in result for position in window]
    assert rest == [position for position in range(len(texts)) if position not in first]
    if not first:
        assert len(result[0] if result else []) <= 2, "the model waits for its tokens"
    for window in result:
        assert len(window) <= 4
        assert sum(len(texts[position]) for position in window[:-1]) < 9, "it would have ended before"


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("kind", [Letters, Parallel])
def test_windows_come_in_order_with_the_vectors_of_their_texts(kind: type[Letters]) -> None:
    texts = [chr(97 + number) * (1 + number % 5) for number in range(20)]
    stream = streamed(kind(), texts, first=[7, 2])
    positions: list[int] = []
    for window in stream:
        assert window.vectors.tolist() == vectors_of([texts[position] for position in window.positions])
        positions += window.positions
    assert positions == [7, 2, *(position for position in range(20) if position not in {7, 2})]
    assert stream.work.own_tokens == sum(map(len, texts))
    assert stream.work.tokens == sum(map(len, texts)) + 20


@pytest.mark.usefixtures("small_windows")
def test_a_parallel_model_is_tokenized_ahead_in_a_thread_and_runs_in_its_workers() -> None:
    model = Parallel()
    texts = [chr(97 + number) for number in range(12)]
    encode(model, texts, "document", batch_tokens=2, progress=SilentProgress())
    assert [texts for _, texts in model.tokenized] == [list(texts[start : start + 3]) for start in (0, 3, 6, 9)]
    assert {name.rpartition("_")[0] for name, _ in model.tokenized} == {"embedbench-tokenize"}
    assert {name.rpartition("_")[0] for name in model.ran} == {"worker"}


@pytest.mark.usefixtures("small_windows")
def test_any_other_model_works_in_the_callers_thread() -> None:
    model = Letters()
    encode(model, [chr(97 + number) for number in range(12)], "document", batch_tokens=2, progress=SilentProgress())
    assert {name for name, _ in model.tokenized} | set(model.ran) == {threading.current_thread().name}


@pytest.mark.usefixtures("small_windows")
def test_a_batch_of_the_next_window_runs_before_the_last_one_is_given() -> None:
    """Workers do not wait at the end of a window: two barriers of two batches each, the second across both windows."""
    meeting = threading.Barrier(2, timeout=120)

    class Meeting(Parallel):
        def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
            meeting.wait()
            return super().forward(batch, role)

    # Windows of three batches: the third can only meet one of the next window.
    texts = [chr(97 + number) for number in range(6)]
    result = encode(Meeting(), texts, "document", batch_tokens=2, progress=SilentProgress())
    assert result.vectors.tolist() == vectors_of(texts)


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("kind", [Letters, Parallel])
def test_few_windows_are_in_memory_at_once(kind: type[Letters], monkeypatch: pytest.MonkeyPatch) -> None:
    alive: weakref.WeakSet[Window] = weakref.WeakSet()
    actual = Window.__init__

    def counted(self: Window, *arguments: object) -> None:
        alive.add(self)
        actual(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Window, "__init__", counted)
    gc.freeze()  # what other tests have imported is not searched for garbage each time
    most = 0
    for _ in streamed(kind(), [str(number) for number in range(10, 99)]):
        gc.collect()
        most = max(most, len(alive))
    gc.unfreeze()
    # The one that is given, the next one, one that is tokenized ahead, and those whose batches wait for a worker.
    assert most <= 6


class Half:
    """Cache that has every second text."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def read(self, texts: Sequence[str]) -> CachedVectors:
        vectors = np.array(vectors_of(texts), np.float32)
        missing = [position for position, text in enumerate(texts) if ord(text[0]) % 2]
        vectors[missing] = np.nan
        return CachedVectors(vectors, missing, own_tokens=1, tokens=2)

    def write(self, texts: Sequence[str], prepared: Sequence[PreparedText], vectors: Vectors) -> None:
        self.written += texts


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("kind", [Letters, Parallel])
def test_windows_that_a_cache_knows_in_part_or_whole(kind: type[Letters]) -> None:
    texts = ["b", "d", "f", *"ac", "h", *"gikm", "r", "t", "v"]
    cache, model = Half(), kind()
    stream = streamed(model, texts, cache=cache)
    given = [(list(window.positions), window.vectors.tolist()) for window in stream]
    assert given == [
        (list(range(start, min(start + 3, 13))), vectors_of(texts[start : start + 3])) for start in range(0, 13, 3)
    ]
    assert sorted(cache.written) == sorted("acgikm")
    assert stream.work.cached_texts == 7


class Estimates:
    """Progress that records totals."""

    def __init__(self) -> None:
        self.totals: list[int] = []
        self.done = 0

    def start(self, label: str, total: int) -> None:
        self.totals.append(total)

    def expect(self, total: int) -> None:
        self.totals.append(total)

    def count(self, texts: int, total: int) -> None:
        pass

    def advance(self, tokens: int) -> None:
        self.done += tokens

    def finish(self) -> None:
        pass


@pytest.mark.usefixtures("small_windows")
def test_the_expected_total_is_in_tokens_and_ends_exact() -> None:
    texts = ["aa", "bb", "cc", "dddd", "eeee", "ffff", "g"]
    progress = Estimates()
    encode(Letters(), texts, "document", batch_tokens=100, progress=progress)
    # Three tokens a text of two letters: of 19 letters 28.5 would be expected, rounded to even.
    assert progress.totals[0] == 9 + round(13 * 9 / 6)
    assert progress.totals[-1] == progress.done == sum(len(text) + 1 for text in texts)


@pytest.mark.usefixtures("small_windows")
def test_a_stream_that_is_left_early_stops_its_threads() -> None:
    before = threading.active_count()
    stream: Iterator[Window] = iter(streamed(Parallel(), [str(number) for number in range(10, 99)]))
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
