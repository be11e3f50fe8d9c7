"""Evaluations by each similarity: exact search, variants, early ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from pytest_embedbench.core.measures import Measure
from pytest_embedbench.core.similarity import SIMILARITIES, Similarity
from pytest_embedbench.core.thresholds import parse_quality
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.errors import ProvenFailure
from pytest_embedbench.evaluate import search as search_module
from pytest_embedbench.evaluate.evaluation import evaluate
from pytest_embedbench.evaluate.fail_fast.encoding import FailFast
from pytest_embedbench.evaluate.metrics import means
from pytest_embedbench.evaluate.search import Search
from pytest_embedbench.models.protocol import ModelFacts, PreparedText
from pytest_embedbench.models.variants import FULL_VECTORS, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Vectors

METRICS: dict[Similarity, Any] = {"cosine": "cosine", "dot": "", "euclidean": "euclidean", "manhattan": "cityblock"}
"""Similarity -> scipy's name of the distance."""


class Random:
    """A text's vector is a direction of its own, with a length of its own where ``lengths`` is more than 0."""

    def __init__(self, similarity: Similarity, lengths: float, *, dtype: str = "fp32") -> None:
        self._lengths = lengths
        self.facts = ModelFacts(dimensions=16, normalized=not lengths, similarity=similarity, dtype=dtype)

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        return [PreparedText(text, len(text), len(text)) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        rows = []
        for text in batch:
            rng = np.random.default_rng(list(text.payload.encode()))
            direction = rng.normal(size=16)
            rows.append(direction / np.linalg.norm(direction) * np.exp(self._lengths * rng.normal()))
        return np.array(rows, np.float32)


def dataset() -> Dataset:
    return Dataset(
        name="n",
        split="test",
        doc_ids=[f"d{n}" for n in range(150)],
        doc_texts=[f"text {n}" for n in range(150)],
        query_ids=["q1", "q2"],
        query_texts=["first question", "another one"],
        qrels={"q1": {"d1": 1, "d9": 1}, "q2": {"d2": 1}},
    )


@pytest.mark.parametrize("similarity", SIMILARITIES)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 40), block=st.sampled_from([1, 7, 50, 8192]))
@settings(max_examples=20)
def test_search_keeps_the_best_of_each_similarity(similarity: Similarity, seed: int, depth: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    queries, documents = (
        (rng.normal(size=(count, 5)) * rng.lognormal(size=(count, 1))).astype(np.float32) for count in (3, 40)
    )
    metric = METRICS[similarity]
    expected = -cdist(queries, documents, metric) if metric else queries.astype(np.float64) @ documents.T
    expected += similarity == "cosine"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_module, "MAX_SCORES", block)
        found = Search([[f"d{n}"] for n in range(40)], queries, ["a", "b", "c"], depth, similarity)
        for start in range(0, 40, 16):
            positions = range(start, min(start + 16, 40))
            found.push(positions, documents[positions.start : positions.stop])
        run = found.run()
    for row, query in zip(expected, run, strict=True):
        scores = [score for _, score in run[query]]
        np.testing.assert_allclose(scores, np.sort(row)[::-1][:depth], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(scores, [row[int(doc[1:])] for doc, _ in run[query]], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "variant",
    [FULL_VECTORS, Variant(dimensions=7), Variant(precision="int8"), Variant(precision="binary"),
     Variant(dimensions=7, precision="int8")],
    ids=str,
)  # fmt: skip
def test_under_cosine_the_length_of_vectors_changes_nothing(variant: Variant) -> None:
    unit, long = (evaluate(Random("cosine", n), dataset(), [Measure("ndcg", 10)], variant=variant) for n in (0, 1.5))
    for query in ("q1", "q2"):
        assert [doc for doc, _ in unit.run[query]] == [doc for doc, _ in long.run[query]]
        assert [score for _, score in unit.run[query]] == pytest.approx(
            [score for _, score in long.run[query]], abs=1e-5
        )


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_signs_are_ranked_by_equal_bits_whatever_the_similarity(similarity: Similarity) -> None:
    binary = Variant(precision="binary")
    by_bits = evaluate(Random("dot", 1), dataset(), [Measure("ndcg", 10)], variant=binary).run
    run = evaluate(Random(similarity, 1), dataset(), [Measure("ndcg", 10)], variant=binary).run
    for query in run:
        assert [doc for doc, _ in run[query]] == [doc for doc, _ in by_bits[query]]


@pytest.mark.parametrize(
    ("similarity", "lengths", "said"),
    [("cosine", 0, ""), ("cosine", 1.5, ""), ("dot", 0, ""), ("dot", 1.5, "not for dot products of vectors of any length"),
     ("euclidean", 0, "not for euclidean"), ("manhattan", 0, "not for manhattan")],
)  # fmt: skip
def test_a_failure_is_proven_early_where_scores_are_known_to_be_steady(
    similarity: Similarity, lengths: float, said: str
) -> None:
    notes: list[str] = []
    limit = parse_quality("ndcg@10 >= 0.99")
    goal = FailFast([limit], say=notes.append)
    whole = means(evaluate(Random(similarity, lengths), dataset(), [Measure("ndcg", 10)]).scores)["ndcg@10"]
    assert whole < 0.99
    if said:
        found = evaluate(Random(similarity, lengths), dataset(), [Measure("ndcg", 10)], fail_fast=goal)
        assert means(found.scores)["ndcg@10"] == whole
        (note,) = notes
        assert note.startswith("no failure can be proven early: how far scores can differ between runs is known only")
        assert note.endswith(f"for cosine, and for dot products of vectors of length 1, {said}")
        return
    with pytest.raises(ProvenFailure) as failure:
        evaluate(Random(similarity, lengths), dataset(), [Measure("ndcg", 10)], fail_fast=goal)
    assert failure.value.bound >= whole
