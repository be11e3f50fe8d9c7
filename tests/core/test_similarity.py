"""Scores by each similarity: those of sentence-transformers, for vectors of any length and for none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.distance import cdist
from sentence_transformers.util import cos_sim, dot_score, euclidean_sim, manhattan_sim

from pytest_embedbench.core.similarity import SIMILARITIES, Similarity, scores
from pytest_embedbench.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

REFERENCES = {"cosine": cos_sim, "dot": dot_score, "euclidean": euclidean_sim, "manhattan": manhattan_sim}

numbers = st.floats(-1e4, 1e4, width=32).map(lambda value: 0.0 if abs(value) < 1e-3 else value)
"""Numbers whose squares float32 holds, which torch's own similarities need."""


@st.composite
def sides(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Vectors of queries and of documents; some are zero."""
    dimensions = draw(st.integers(1, 12))
    rows = [draw(st.integers(1, 5)), draw(st.integers(1, 30))]
    first, second = (draw(arrays.arrays(np.float32, (count, dimensions), elements=numbers)) for count in rows)
    return first, second


@pytest.mark.parametrize("similarity", SIMILARITIES)
@given(vectors=sides())
@settings(max_examples=40)
def test_scores_are_those_of_sentence_transformers(
    similarity: Similarity, vectors: tuple[NDArray[np.float32], NDArray[np.float32]]
) -> None:
    queries, documents = vectors
    expected = REFERENCES[similarity](queries, documents).numpy()
    found = scores(similarity, queries, documents)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    # torch computes distances of many vectors from their products, in float32: near vectors lose digits.
    largest = max(np.abs(queries).max(), np.abs(documents).max())
    apart = {"cosine": 1e-6, "dot": 1e-5 * largest**2, "euclidean": 1e-2 * largest, "manhattan": 1e-5 * largest}
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=apart[similarity])


@given(vectors=sides())
@settings(max_examples=40)
def test_distances_are_exact_where_vectors_are_near(
    vectors: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> None:
    queries, documents = vectors
    both = np.concatenate([queries, documents])
    expected = cdist(both.astype(np.float64), both.astype(np.float64))
    length = np.linalg.norm(both.astype(np.float64), axis=1).max()
    np.testing.assert_allclose(-scores("euclidean", both, both), expected, rtol=1e-6, atol=1e-7 * length)


@pytest.mark.parametrize("scale", [1e-40, 1e-25, 1e-9, 1e9, 1e25, 3e37])
def test_cosine_does_not_depend_on_lengths(scale: float) -> None:
    rng = np.random.default_rng(5)
    queries, documents = rng.normal(size=(3, 8)).astype(np.float32), rng.normal(size=(9, 8)).astype(np.float32)
    longer = (documents * np.float64(scale)).astype(np.float32)
    # A number of 1e-40 has only 17 bits left.
    apart = 1e-4 if scale < 1e-38 else 1e-6
    np.testing.assert_allclose(scores("cosine", queries, longer), scores("cosine", queries, documents), atol=apart)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_zeros_have_scores(similarity: Similarity) -> None:
    zeros, ones = np.zeros((1, 4), np.float32), np.ones((1, 4), np.float32)
    both = np.concatenate([zeros, ones])
    expected = {"cosine": [[0, 0], [0, 1]], "dot": [[0, 0], [0, 4]], "euclidean": [[0, -2], [-2, 0]]}
    found = scores(similarity, both, both)
    assert found.tolist() == expected.get(similarity, [[0, -4], [-4, 0]])


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("dimensions", [1, 7, 384, 1000])
def test_signs_with_as_many_equal_bits_tie_exactly(similarity: Similarity, dimensions: int) -> None:
    signs = np.where(np.random.default_rng(2).normal(size=(200, dimensions)) > 0, 1, -1).astype(np.float32)
    equal = (signs[:3] @ signs.T).astype(int)
    found = scores(similarity, signs[:3], signs)
    for ours, bits in zip(found, equal, strict=True):
        # One score for each number of equal bits, and more bits are a higher score.
        assert len({(score, count) for score, count in zip(ours, bits, strict=True)}) == len(set(ours))
        assert np.array_equal(np.unique(ours, return_inverse=True)[1], np.unique(bits, return_inverse=True)[1])


def test_counts_tie_exactly() -> None:
    rng = np.random.default_rng(1)
    query = np.array([[1, 1, 0, 2] + [0] * 20], np.float32)
    # The same words of the query, and as many others, in any order.
    others = np.array([rng.permutation([1, 2, 3, 1] + [0] * 16) for _ in range(50)])
    documents = np.concatenate([np.tile([3, 0, 1, 1], (50, 1)), others], axis=1).astype(np.float32)
    assert len(set(scores("cosine", query, documents)[0].tolist())) == 1


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_queries_and_documents_of_other_dimensions_are_an_error(similarity: Similarity) -> None:
    with pytest.raises(ModelError, match="queries have 3 dimensions, documents 4"):
        scores(similarity, np.ones((2, 3), np.float32), np.ones((2, 4), np.float32))


def test_scores_beyond_float32_are_an_error() -> None:
    long = np.full((2, 4), 1e30, np.float32)
    with pytest.raises(ModelError, match="a dot score is beyond the range of float32"):
        scores("dot", long, long)
    assert scores("cosine", long, long).min() == pytest.approx(1)
