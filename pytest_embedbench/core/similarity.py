"""The similarities by which documents are ranked, and their scores: the one place that computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from pytest_embedbench.errors import ModelError

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
"""A similarity, by its name in sentence-transformers; the last two are distances with a minus sign."""

SIMILARITIES: tuple[Similarity, ...] = get_args(Similarity)

DEFAULT_SIMILARITY: Similarity = "cosine"
"""Similarity of models that declare none, as in sentence-transformers and MTEB."""

MIN_SQUARE, MAX_SQUARE = 1e-20, 1e30
"""Squares of vectors' lengths, between which float32 computes them as well as float64."""

UNIT_TOLERANCE = 1e-6
"""Square of a length; how far float32 leaves that of a normalized vector from 1."""


class Scorer:
    """Scores of documents for some queries: their similarities, higher is better.

    The definitions are those of ``sentence_transformers.util.similarity``. A vector of zeros has the cosine 0 with
    every other one.

    Args:
        similarity: its name.
        queries: shape (queries, dimensions).
    """

    def __init__(self, similarity: Similarity, queries: Floats) -> None:
        import numpy as np

        self._similarity, self._dimensions = similarity, queries.shape[1]
        # Products of signs (``binary``) and of counts are exact, and equal ones must give equal cosines. So their
        # lengths are divided out afterwards; all others' before, which is faster.
        self._whole = similarity == "cosine" and bool((queries == np.rint(queries)).all())
        if self._whole:
            queries, self._squares = _halved(queries)
        elif similarity == "cosine":
            queries = _of_length_1(queries)
        elif similarity != "dot":
            # Distances of near vectors are differences of large numbers, so they need more digits than float32 has.
            queries = queries.astype(np.float64)
            self._squares = np.einsum("ij,ij->i", queries, queries)
        # Transposed once for all products; cdist wants rows.
        self._queries = queries if similarity == "manhattan" else np.ascontiguousarray(queries.T)

    def __call__(self, documents: Floats) -> NDArray[np.float32]:
        """Return the scores of documents, from shape (documents, dimensions) to (queries, documents).

        Memory beside the result is a few times the result's; callers limit the documents of a call.

        Raises:
            ModelError: documents have other dimensions than queries, or vectors so long that a score is beyond float32.
        """
        import numpy as np

        if documents.shape[1] != self._dimensions:
            problem = f"queries have {self._dimensions} dimensions, documents {documents.shape[1]}"
            raise ModelError(problem, fix="give queries and documents vectors of the same length")

        # Scores that overflow are refused below, so that numpy need not warn.
        with np.errstate(over="ignore", invalid="ignore"):
            scores = self._scores(documents).astype(np.float32, copy=False)
        if self._similarity != "cosine" and not np.isfinite(scores).all():
            problem = f"a {self._similarity} score is beyond the range of float32: the vectors are too long"
            raise ModelError(problem, fix='give similarity = "cosine" in its definition, or vectors of length 1')
        return scores

    def _scores(self, documents: Floats) -> Floats:
        import numpy as np

        match self._similarity:
            case "cosine":
                if not self._whole:
                    return np.asarray((_of_length_1(documents) @ self._queries).T)
                documents, squares = _halved(documents)
                products = documents @ self._queries
                # The root of the product, not the product of the roots: a vector's cosine with itself is then 1.
                products /= np.sqrt(squares[:, None] * self._squares)
                return products.T
            case "dot":
                return np.asarray((documents @ self._queries).T)
            case "euclidean":
                precise = documents.astype(np.float64)
                squares = precise @ self._queries
                squares *= -2
                squares += np.einsum("ij,ij->i", precise, precise)[:, None]
                squares += self._squares
                # Rounding may leave the square of a distance of 0 below it.
                return -np.sqrt(np.maximum(squares, 0, out=squares)).T
            case "manhattan":
                # Imported here, since few models ask for it.
                from scipy.spatial.distance import cdist

                return -np.asarray(cdist(self._queries, documents.astype(np.float64), "cityblock"))


def scores(similarity: Similarity, queries: Floats, documents: Floats) -> NDArray[np.float32]:
    """Return the scores of a few documents for some queries, shape (queries, documents); see ``Scorer``."""
    return Scorer(similarity, queries)(documents)


def _halved(vectors: Floats) -> tuple[Floats, Floats]:
    """Return vectors brought to lengths from 1/2 to 1 by powers of two, and the squares of these lengths.

    That changes no digit, unlike a division by the length, and no product can overflow or vanish. A vector of zeros
    gets 1.
    """
    import numpy as np

    vectors, squares = _with_squares(vectors)
    exponents = np.frexp(np.sqrt(squares))[1]
    halved = vectors * np.ldexp(np.ones_like(squares), -exponents)[:, None]
    squares = np.where(squares > 0, np.ldexp(squares, -2 * exponents), 1)
    return halved.astype(np.float32, copy=False), squares.astype(np.float32, copy=False)


def _of_length_1(vectors: Floats) -> Floats:
    """Return the vectors divided by their lengths; a vector of zeros stays one.

    Those that have length 1 already, up to rounding, stay as they are, and then nothing is copied.
    """
    import numpy as np

    precise, squares = _with_squares(vectors)
    scales = 1 / np.sqrt(np.where(squares > 0, squares, 1))
    scales[np.abs(squares - 1) < UNIT_TOLERANCE] = 1
    return vectors if (scales == 1).all() else (precise * scales[:, None]).astype(np.float32, copy=False)


def _with_squares(vectors: Floats) -> tuple[Floats, Floats]:
    """Return the vectors and the squares of their lengths, in float64 where float32 has no room for these."""
    import numpy as np

    squares = np.einsum("ij,ij->i", vectors, vectors)
    # float64 has room for the squares of all float32 numbers; it takes longer, and is hardly ever needed.
    if not ((squares > MIN_SQUARE) & (squares < MAX_SQUARE)).all():
        vectors = vectors.astype(np.float64)
        squares = np.einsum("ij,ij->i", vectors, vectors)
    return vectors, squares
