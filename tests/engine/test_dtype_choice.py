"""``auto``: the fastest format whose vectors pass the guard, by a clock that the models move themselves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.engine import dtype_choice
from pytest_embedbench.engine.dtype_choice import DtypeChoice, choose, sample
from pytest_embedbench.errors import ModelError
from pytest_embedbench.machine.cpu import fast_dtypes
from pytest_embedbench.models.protocol import ModelFacts, PreparedText

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Vectors


def dataset(docs: Sequence[str], queries: Sequence[str] = ("one",)) -> Dataset:
    return Dataset(
        name="facts",
        doc_ids=[f"d{number}" for number in range(len(docs))],
        doc_texts=list(docs),
        query_ids=[f"q{number}" for number in range(len(queries))],
        query_texts=list(queries),
        qrels={},
        split="test",
    )


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Timed:
    """A model that takes so many seconds a token, and whose vectors turn by an angle for one role."""

    facts = ModelFacts()

    def __init__(self, clock: Clock, cost: float, angle: float = 0.0, role: Role = "document") -> None:
        self.clock, self.cost, self.angle, self.role = clock, cost, angle, role

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        return [PreparedText(text, len(text), len(text)) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        self.clock.now += self.cost * sum(text.length for text in batch)
        turn = self.angle if role == self.role and any("turn" in text.payload for text in batch) else 0.0
        return np.array([[np.cos(turn), np.sin(turn)]] * len(batch), np.float32)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "perf_counter", made)
    return made


DOCS = [f"document {number}" for number in range(50)] + ["turn"]


def chosen(models: dict[str, Timed], queries: Sequence[str] = ("one",)) -> DtypeChoice:
    loaded: list[str] = []

    def load(name: str) -> Timed:
        loaded.append(name)
        return models[name]

    made = choose("mine", dataset(DOCS, queries), "fp32", ("bf16", "fp16"), load)
    assert loaded == ["fp32", "bf16", "fp16"], "each is loaded once, and only one is needed at a time"
    return made


def test_the_fastest_that_passes(clock: Clock) -> None:
    found = chosen({"fp32": Timed(clock, 4.0), "bf16": Timed(clock, 2.0, 0.01), "fp16": Timed(clock, 1.0, 0.01)})
    assert found.dtype == "fp16"
    assert found.trials["fp16"].tokens_per_second == pytest.approx(1.0)
    assert found.trials["fp32"].tokens_per_second == pytest.approx(0.25)
    assert found.trials["bf16"].cosine == pytest.approx(np.cos(0.01), abs=1e-6)
    assert str(found).startswith("fp16: 1 tok/s, fp32 0; cosine to fp32 >= 0.9999")
    assert str(found).endswith("(52 texts)")


@pytest.mark.parametrize("role", ["document", "query"])
def test_one_text_that_turns_away_is_enough_to_fail(clock: Clock, role: Role) -> None:
    """Its vectors are faster, and right but for one text of one role."""
    found = chosen(
        {"fp32": Timed(clock, 4.0), "bf16": Timed(clock, 2.0, 0.05, role), "fp16": Timed(clock, 3.9)}, ["one", "turn"]
    )
    assert found.dtype == "fp32"
    assert str(found) == "fp32: bf16 fails the guard (cosine 0.99875 < 0.999); fp16 is not 1.1 times as fast"


def test_lengths_count_where_they_decide_the_ranking(clock: Clock) -> None:
    class Longer(Timed):
        def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
            return 1.2 * super().forward(batch, role)

    def models() -> dict[str, Timed]:
        return {"fp32": Timed(clock, 4.0), "bf16": Longer(clock, 1.0), "fp16": Timed(clock, 4.0)}

    assert chosen(models()).dtype == "bf16"
    by_dot = models()
    by_dot["fp32"].facts = ModelFacts(similarity="dot")
    assert chosen(by_dot).dtype == "fp32"


def test_vectors_without_direction_fail_where_the_reference_has_one(clock: Clock) -> None:
    class Zeros(Timed):
        def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
            return 0 * super().forward(batch, role)

    found = chosen({"fp32": Timed(clock, 4.0), "bf16": Zeros(clock, 1.0), "fp16": Timed(clock, 4.0)})
    assert found.dtype == "fp32"
    assert found.trials["bf16"].cosine == 0.0


def test_a_format_that_breaks_is_out_and_its_reason_kept(clock: Clock) -> None:
    class Broken(Timed):
        def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
            return np.nan * super().forward(batch, role)

    found = chosen({"fp32": Timed(clock, 4.0), "bf16": Broken(clock, 1.0), "fp16": Timed(clock, 4.0)})
    assert found.dtype == "fp32"
    assert "bf16 does not run (the vector of this query is NaN or infinite (3 characters: 'one'))" in str(found)


def test_a_reference_that_breaks_is_an_error(clock: Clock) -> None:
    class Broken(Timed):
        def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
            raise ModelError("no")

    with pytest.raises(ModelError, match="no"):
        choose("mine", dataset(DOCS), "fp32", ("bf16",), lambda _: Broken(clock, 1.0))


def test_without_candidates_it_says_why() -> None:
    found = choose("mine", dataset(DOCS), "fp32", (), lambda _: Timed(Clock(), 1.0))
    assert str(found) == "fp32: nothing is faster on this hardware"


def test_the_sample_has_short_and_long_texts_and_is_bounded() -> None:
    texts = ["x" * length for length in range(1, 1001)]
    taken = sample(dataset(texts, texts))
    assert len(taken["query"]) == 32
    lengths = [len(text) for text in taken["document"]]
    assert len(lengths) == 95, "48,000 characters at a mean of 500.5"
    assert lengths[0] < 10
    assert lengths[-1] > 990
    assert float(np.mean(lengths)) == pytest.approx(500, rel=0.02)
    long = sample(dataset(["y" * 100_000 + str(number) for number in range(50)]))
    assert len(long["document"]) == dtype_choice.MIN_TRIED_TEXTS
    assert sample(dataset(["a", "a"]))["document"] == ["a"]


def test_what_this_machine_multiplies_fast_is_among_what_torch_knows() -> None:
    assert set(fast_dtypes("cpu")) <= {"bf16", "fp16"}
