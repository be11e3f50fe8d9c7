"""Batch budgets: tuned on real batches, reduced where memory is short."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.encode.batch_budget import CANDIDATE_BATCH_TOKENS, DEFAULT_BATCH_TOKENS, MIN_WORK_FACTOR, Budget
from pytest_embedbench.encode.loop import encode
from pytest_embedbench.encode.memory import forward_in_halves, is_out_of_memory
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import ModelFacts, PreparedText

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Vectors

TRIED = (10, 20, 40)
ENOUGH = MIN_WORK_FACTOR * 40 * 6


def tried(cost: dict[int, float]) -> tuple[Budget, list[int], list[int]]:
    """Return a tuned budget, the budgets drawn and those learned, where a token costs the given seconds."""
    learned: list[int] = []
    budget = Budget(20, TRIED, learned.append)
    budget.expect(ENOUGH)
    drawn = [budget.draw() for _ in range(14)]
    for each in drawn:
        budget.record(each, each, each * cost[each])
    return budget, drawn, learned


def test_each_candidate_has_as_many_tokens_and_turns_mirror_each_other() -> None:
    _, drawn, _ = tried({10: 1.0, 20: 1.0, 40: 1.0})
    assert drawn == [10] * 4 + [20] * 2 + [40] + [40] + [20] * 2 + [10] * 4


def test_a_steady_drift_favours_none() -> None:
    """Each batch costs more than the one before, by the tokens done; the means are equal all the same."""
    learned: list[int] = []
    budget = Budget(20, TRIED, learned.append)
    budget.expect(ENOUGH)
    tokens_done = 0
    for _ in range(14):
        each = budget.draw()
        budget.record(each, each, sum(1 + 0.01 * (tokens_done + token) for token in range(each)))
        tokens_done += each
    assert learned == [10], "all are equally fast, so the smallest"


@pytest.mark.parametrize(
    ("cost", "best"),
    [
        ({10: 1.0, 20: 0.5, 40: 0.8}, 20),
        ({10: 1.0, 20: 1.0, 40: 0.5}, 40),
        ({10: 1.0, 20: 1.0, 40: 0.99}, 10),
        ({10: 1.0, 20: 0.97, 40: 0.96}, 20),
    ],
)
def test_the_fastest_is_kept_or_a_smaller_one_that_is_near(cost: dict[int, float], best: int) -> None:
    budget, _, learned = tried(cost)
    assert (budget.tokens, learned) == (best, [best])
    assert budget.draw() == best
    budget.expect(10**9)
    assert budget.draw() == best, "it is tried once"


@pytest.mark.parametrize("work", [0, ENOUGH - 1])
def test_little_work_is_not_worth_a_trial(work: int) -> None:
    learned: list[int] = []
    budget = Budget(20, TRIED, learned.append)
    budget.expect(work)
    assert {budget.draw() for _ in range(20)} == {20}
    budget.record(20, 20, 1.0)
    assert learned == []


def test_what_does_not_fit_halves_the_budget_and_ends_a_trial() -> None:
    learned: list[int] = []
    budget = Budget(20, TRIED, learned.append)
    budget.expect(ENOUGH)
    budget.draw()
    budget.exceeded(16)
    assert (budget.tokens, learned) == (8, [8])
    assert {budget.draw() for _ in range(20)} == {8}
    budget.record(10, 10, 1.0)
    budget.exceeded(100)  # a single long text, say: the budget is below already
    assert (budget.tokens, learned) == (8, [8])


def test_candidates_are_in_order_and_the_usual_budget_is_one_of_them() -> None:
    for device, candidates in CANDIDATE_BATCH_TOKENS.items():
        assert list(candidates) == sorted(candidates)
        assert DEFAULT_BATCH_TOKENS[device] in candidates
        assert all(candidates[-1] % candidate == 0 for candidate in candidates)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
                "you tried to allocate 400000000000 bytes. Error code 12 (Cannot allocate memory)"
            ),
            True,
        ),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("could not create a primitive"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("too long"), False),
        (ModelError("the server says: out of memory"), False),
    ],
    ids=repr,
)
def test_what_counts_as_out_of_memory(error: Exception, *, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_a_failure_that_may_have_another_cause_is_tried_in_halves_and_reported_as_it_is() -> None:
    batch = [PreparedText(None, length, length) for length in (3, 5)]
    tried: list[int] = []

    def forward(texts: Sequence[PreparedText]) -> Vectors:
        tried.append(len(texts))
        raise RuntimeError("could not create a primitive")

    with pytest.raises(RuntimeError, match="could not create a primitive"):
        forward_in_halves(forward, batch, lambda _: None)
    assert tried == [2, 1]


def test_torchs_own_errors_count() -> None:
    import torch

    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))


class Cramped:
    """Model with memory for a number of tokens, padding included; beyond it, it fails as a GPU does."""

    facts = ModelFacts()

    def __init__(self, room: int) -> None:
        self.room = room
        self.batches: list[int] = []
        self.failures = 0

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        return [PreparedText(text, len(text), len(text)) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        size = len(batch) * max(text.length for text in batch)
        if size > self.room:
            self.failures += 1
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.batches.append(size)
        return np.array([[text.length, sum(map(ord, text.payload))] for text in batch], np.float32)


class CrampedPool(Cramped):
    workers = 2

    def side_by_side(self) -> object:
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(self.workers)


@pytest.mark.parametrize("kind", [Cramped, CrampedPool])
@given(
    texts=st.lists(st.text("abc", min_size=1, max_size=9), unique=True, max_size=40),
    room=st.integers(9, 60),
    tokens=st.integers(1, 400),
)
def test_nothing_is_lost_whatever_fits(kind: type[Cramped], texts: list[str], room: int, tokens: int) -> None:
    model = kind(room)
    result = encode(model, texts, "document", batch_tokens=tokens, progress=SilentProgress())
    assert result.vectors[result.indices].tolist() == [[len(text), sum(map(ord, text))] for text in texts]
    assert all(size <= room for size in model.batches)


def test_after_a_failure_later_batches_fit_at_once() -> None:
    model, learned = Cramped(50), list[int]()
    budget = Budget(160, (), learned.append)
    result = encode(
        model, [f"{number:08}" for number in range(200)], "document", batch_tokens=budget, progress=SilentProgress()
    )
    assert len(result.vectors) == 200
    # 160 does not fit, its halves of 80 neither, quarters of 40 do; the other half of the first batch is cut as well.
    assert learned == [80, 40]
    assert budget.tokens == 40
    assert model.failures == 3
    assert max(model.batches) == 40


def test_a_text_that_does_not_fit_alone_is_an_error_that_names_it() -> None:
    with pytest.raises(ModelError) as caught:
        encode(Cramped(6), ["short", "far too long"], "document", batch_tokens=100, progress=SilentProgress())
    message = str(caught.value)
    assert message.startswith("this document of 12 tokens does not fit into memory, alone in its batch: 'far too long'")
    assert "\n  fix: max_seq_length" in message


def test_batches_that_ran_are_reported_with_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    heard: list[tuple[int, int, float]] = []

    class Hearing(Budget):
        def record(self, budget: int, tokens: int, seconds: float) -> None:
            heard.append((budget, tokens, seconds))

    encode(Cramped(99), ["aaaa", "bb", "cc"], "document", batch_tokens=Hearing(4), progress=SilentProgress())
    assert heard == [(4, 4, 1.0), (4, 4, 1.0)]
