"""Batches cover every text once within the budget; the loop gives each text its own vector."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.core.batching import batches, distinct
from pytest_embedbench.encode import window
from pytest_embedbench.encode.cache import VectorCache
from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import Encoder, ModelFacts, ParallelEncoder, PreparedText

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
    from pytest_embedbench.models.protocol import Vectors

PROMPT_TOKENS = {"query": 2, "document": 0}


def vector_of(text: str, role: str) -> list[float]:
    """Return the vector of the model below: different for every text and role."""
    return [float(len(text)), float(sum(map(ord, text))), float(role == "query"), float(hash(text) % 997)]


class LetterModel:
    """Model with one token a letter, one special token, and two tokens of prompt for a query; records its batches."""

    facts = ModelFacts()

    def __init__(self, broken: str = "", bad: float = float("nan")) -> None:
        self.broken, self.bad = broken, bad
        self.prepared: list[list[str]] = []
        self.batches: list[list[str]] = []

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        self.prepared.append(list(texts))
        return [PreparedText(text, len(text) + 1 + PROMPT_TOKENS[role], len(text)) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        self.batches.append([text.payload for text in batch])
        vectors = np.array([vector_of(text.payload, role) for text in batch], np.float32)
        for row, text in enumerate(batch):
            if self.broken and text.payload == self.broken:
                vectors[row, -1] = self.bad
        return vectors


class Recorder:
    """Progress that records its calls."""

    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []

    def start(self, label: str, total: int) -> None:
        self.events.append(("start", (label, total)))

    def expect(self, total: int) -> None:
        self.events.append(("expect", total))

    def count(self, texts: int, total: int) -> None:
        pass

    def advance(self, tokens: int) -> None:
        self.events.append(("advance", tokens))

    def finish(self) -> None:
        self.events.append(("finish", None))


texts_lists = st.lists(st.text("ab日", max_size=12), max_size=30)
roles: st.SearchStrategy[Role] = st.sampled_from(["query", "document"])


# The plan


@given(st.lists(st.text("ab", max_size=2)))
def test_distinct_texts_in_order_of_first_appearance(texts: list[str]) -> None:
    unique, indices = distinct(texts)
    assert unique == list(dict.fromkeys(texts))
    assert [unique[index] for index in indices] == texts


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(0, 200))
def test_batches(lengths: list[int], budget: int) -> None:
    planned = list(batches(lengths, lambda: budget))
    assert sorted(index for batch in planned for index in batch) == list(range(len(lengths)))
    flat = [lengths[index] for batch in planned for index in batch]
    assert flat == sorted(lengths, reverse=True)
    for batch in planned:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget
    for batch, following in pairwise(planned):
        longest = max(1, *(lengths[index] for index in batch))
        assert longest * (len(batch) + 1) > budget, f"{following} had room in {batch}"


def test_batches_by_hand() -> None:
    assert list(batches([3, 9, 3, 20, 1, 4], lambda: 10)) == [[3], [1], [5, 0], [2, 4]]
    assert list(batches([], lambda: 10)) == []


# The loop


@given(texts_lists, roles, st.integers(1, 60))
def test_every_text_gets_its_own_vector(texts: list[str], role: Role, budget: int) -> None:
    model, progress = LetterModel(), Recorder()
    encoded = encode(model, texts, role, batch_tokens=budget, progress=progress)
    unique = list(dict.fromkeys(texts))
    assert len(encoded.vectors) == len(unique)
    assert len(encoded.indices) == len(texts)
    assert [encoded.vectors[index].tolist() for index in encoded.indices] == [vector_of(text, role) for text in texts]
    assert encoded.vectors.dtype == np.float32

    assert sorted(text for batch in model.batches for text in batch) == sorted(unique)
    own = sum(map(len, unique))
    total = own + len(unique) * (1 + PROMPT_TOKENS[role])
    padded = sum(max(len(text) + 1 + PROMPT_TOKENS[role] for text in batch) * len(batch) for batch in model.batches)
    assert (encoded.own_tokens, encoded.tokens, encoded.padded_tokens) == (own, total, padded)

    kinds = [kind for kind, _ in progress.events]
    assert kinds == ["start", *["advance"] * len(model.batches), "finish"]
    assert progress.events[0] == ("start", (role, total))
    advanced = [value for kind, value in progress.events if kind == "advance"]
    assert advanced == [sum(len(t) + 1 + PROMPT_TOKENS[role] for t in batch) for batch in model.batches]


def test_no_text_at_all() -> None:
    model, progress = LetterModel(), Recorder()
    encoded = encode(model, [], "query", batch_tokens=10, progress=progress)
    assert encoded.vectors.shape[0] == 0
    assert (encoded.indices, encoded.own_tokens, encoded.tokens, encoded.padded_tokens) == ([], 0, 0, 0)
    assert encoded.vectors[encoded.indices].shape[0] == 0
    assert model.batches == []
    assert progress.events == [("start", ("query", 0)), ("finish", None)]


def test_tokenization_is_in_bulk_but_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "FIRST_WINDOW_TEXTS", 2)
    monkeypatch.setattr(window, "MAX_WINDOW_TEXTS", 3)
    model = LetterModel()
    texts = ["a", "bb", "a", "ccc", "dddd", "bb", "e"]
    encoded = encode(model, texts, "document", batch_tokens=8, progress=SilentProgress())
    assert model.prepared == [["a", "bb"], ["ccc", "dddd", "e"]]
    assert encoded.vectors[encoded.indices].tolist() == [vector_of(text, "document") for text in texts]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")], ids=str)
@pytest.mark.parametrize("role", ["query", "document"])
def test_a_broken_vector_names_its_text(role: Role, bad: float) -> None:
    progress = Recorder()
    with pytest.raises(ModelError) as caught:
        encode(LetterModel("bad one", bad), ["a", "bad one", "b"], role, batch_tokens=99, progress=progress)
    assert str(caught.value) == f"the vector of this {role} is NaN or infinite (7 characters: 'bad one')"
    assert progress.events[-1] == ("finish", None), "a terminal's bar is taken down also after an error"


def test_a_long_broken_text_is_shortened() -> None:
    text = "x" * 5000
    with pytest.raises(ModelError) as caught:
        encode(LetterModel(text), [text], "query", batch_tokens=99, progress=SilentProgress())
    assert str(caught.value).endswith(f"(5,000 characters: '{'x' * 80}...')")


def test_too_few_vectors_are_an_error_and_not_spread_over_the_texts() -> None:
    class Lossy(LetterModel):
        def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
            return super().forward(batch, role)[:1]

    with pytest.raises(ModelError, match=r"^the model gave 1 vectors for 2 texts$"):
        encode(Lossy(), ["a", "b"], "query", batch_tokens=99, progress=SilentProgress())


def test_an_error_of_the_model_passes_and_finishes_the_progress() -> None:
    class Failing(LetterModel):
        def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
            raise RuntimeError("device fell off the bus")

    progress = Recorder()
    with pytest.raises(RuntimeError, match="fell off the bus"):
        encode(Failing(), ["a"], "query", batch_tokens=99, progress=progress)
    assert [kind for kind, _ in progress.events] == ["start", "finish"]


def test_the_letter_model_is_an_encoder() -> None:
    assert isinstance(LetterModel(), Encoder)


def test_texts_that_fill_the_models_length_are_counted_cached_or_not(
    minilm: SentenceTransformerModel, tmp_path: Path
) -> None:
    texts = ["short", "a word " * 300, "a word " * 400, "short"]
    cache = VectorCache(tmp_path)
    for _ in range(2):
        space = cache.spaces("minilm", "f" * 64, minilm.facts, {})["document"]
        result = encode(minilm, texts, "document", batch_tokens=1000, progress=SilentProgress(), cache=space)
        assert result.full_texts == 2
    assert result.cached_texts == 3


def test_batches_side_by_side_give_the_same_vectors_and_leave_the_threads_as_they_were(
    minilm: SentenceTransformerModel,
) -> None:
    texts = ["word " * (1 + number % 50) + str(number) for number in range(60)]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert minilm.workers == 1
        alone = encode(minilm, texts, "document", batch_tokens=200, progress=SilentProgress())
        torch.set_num_threads(3)
        assert minilm.workers == 3
        together = encode(minilm, texts, "document", batch_tokens=200, progress=SilentProgress())
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert together.vectors == pytest.approx(alone.vectors, abs=1e-6)
    assert together.padded_tokens == alone.padded_tokens


class SideBySide(LetterModel):
    """Model that runs three batches at once, and fails at one text."""

    workers = 3

    def __init__(self) -> None:
        super().__init__()
        self.under_way = self.most = 0
        self.lock = threading.Lock()

    def side_by_side(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.workers)

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        with self.lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        time.sleep(0.01)
        with self.lock:
            self.under_way -= 1
        if any(text.payload == "boom" for text in batch):
            raise ModelError("boom")
        return super().forward(batch, role)


def test_several_batches_run_at_once_and_their_vectors_come_in_order() -> None:
    model = SideBySide()
    assert isinstance(model, ParallelEncoder)
    texts = [chr(97 + number % 26) * (1 + number) for number in range(40)]
    result = encode(model, texts, "query", batch_tokens=1, progress=SilentProgress())
    assert [list(row) for row in result.vectors[result.indices]] == [vector_of(text, "query") for text in texts]
    assert 1 < model.most <= 3


def test_an_error_in_one_of_several_batches_ends_the_others() -> None:
    model = SideBySide()
    with pytest.raises(ModelError, match="boom"):
        encode(
            model,
            ["boom", *(f"text {number}" for number in range(50))],
            "query",
            batch_tokens=1,
            progress=SilentProgress(),
        )
    assert model.under_way == 0
