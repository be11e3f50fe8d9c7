"""Turn a model's vectors into those of its variant: cut, normalized again, quantized.

The model runs once for all its variants, since a variant is a function of the model's vectors. Quantized vectors are
float32 values here, those that the stored bits stand for, so that their similarities are the variant's scores.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from pytest_embedbench.core.batching import distinct
from pytest_embedbench.core.unit_vectors import unit_vectors
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import ModelFacts
from pytest_embedbench.models.variants import Variant

if TYPE_CHECKING:
    from pytest_embedbench.core.similarity import Similarity
    from pytest_embedbench.models.protocol import Vectors

CALIBRATION_DOCUMENTS = 1000
"""Documents, at most; the ranges of int8 are taken from their vectors."""

INT8_STEPS = 255
"""Steps into which int8 divides the range of a dimension."""


@dataclass(frozen=True)
class VectorForm:
    """Function from a model's vectors to its variant's; it treats each vector alone, so that batches do not matter.

    ``normalized`` says whether the model's vectors have length 1, ``similarity`` how they are compared. ``ranges`` is
    for int8: the least and the greatest value of each kept dimension over the calibration sample, shape
    (2, dimensions).
    """

    variant: Variant
    normalized: bool = False
    similarity: Similarity | Literal[""] = ""
    ranges: Vectors | None = None

    def __call__(self, vectors: Vectors) -> Vectors:
        """Return the variant's vectors, shape (texts, dimensions kept), float32.

        - The cut is sentence-transformers' ``truncate_dim``, then its ``normalize_embeddings`` where the model's own
          vectors have length 1.
        - ``int8`` has sentence-transformers' codes (``quantize_embeddings`` with these ranges): a dimension's range is
          divided into 255 steps, and values outside the range are clipped. A code stands for the middle of its step,
          as in faiss's ``ScalarQuantizer``. Under cosine, which is the same for all lengths of a vector, vectors are
          normalized first, as vector databases do: no step is spent on lengths.
        - ``binary`` is the sign, 1 for values above zero and -1 for others. The inner product of two such vectors is
          the number of equal bits minus the number of different bits, so that every similarity orders texts as the
          Hamming distance does. It is exact: float32 holds every integer up to 2^24.

        Raises:
            ModelError: the vectors have fewer dimensions than the variant keeps.
        """
        if not len(vectors):
            return vectors
        cut = self._cut(vectors)
        if self.variant.precision == "binary":
            return np.where(cut > 0, np.float32(1), np.float32(-1))
        if self.ranges is None:
            return cut
        low, high = self.ranges
        step = (high - low) / INT8_STEPS
        codes = np.clip(np.floor((cut - low) / np.where(step == 0, 1, step)), 0, INT8_STEPS)
        restored: Vectors = low + (codes + np.float32(0.5)) * step
        return restored

    def _cut(self, vectors: Vectors) -> Vectors:
        dimensions = self.variant.dimensions
        cut = vectors
        if dimensions is not None:
            refuse_too_many(dimensions, vectors.shape[1])
            cut = vectors[:, :dimensions]
        shortened = dimensions is not None and self.normalized
        if not shortened and (self.variant.precision != "int8" or self.similarity != "cosine"):
            return cut
        # As torch.nn.functional.normalize does it: a vector of zeros stays as it is.
        return unit_vectors(cut)


def fit_form(variant: Variant, facts: ModelFacts, sample: Callable[[], Vectors]) -> VectorForm:
    """Return the form of a variant, with int8's ranges fitted to the calibration sample.

    Args:
        variant: dimensions and precision that are kept.
        facts: the model's facts about itself.
        sample: returns the model's vectors of the calibration sample, shape (documents, dimensions); called only for
            int8, the one precision that depends on it.
    """
    form = VectorForm(variant, facts.normalized, facts.similarity)
    if variant.precision != "int8" or not len(vectors := sample()):
        return form
    cut = form._cut(vectors)  # noqa: SLF001 - same module
    return replace(form, ranges=np.stack([cut.min(axis=0), cut.max(axis=0)]))


def calibration_documents(texts: Sequence[str]) -> list[int]:
    """Return the indices of the documents from which int8's ranges are taken, at most ``CALIBRATION_DOCUMENTS``.

    These are the documents, with distinct texts, whose text has the lowest sha256. This is a random sample that depends
    on the set of documents but not on their order, and that hardly changes when some are added.
    """
    unique, indices = distinct(texts)
    first_index: dict[int, int] = {}  # row of a distinct text -> its first document
    for index, row in enumerate(indices):
        first_index.setdefault(row, index)
    rows = heapq.nsmallest(CALIBRATION_DOCUMENTS, range(len(unique)), key=lambda row: _digest(unique[row]))
    return [first_index[row] for row in rows]


def _digest(text: str) -> bytes:
    # As in the cache: a text may hold half of a surrogate pair.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def refuse_too_many(wanted: int, dimensions: int) -> None:
    """Raise an error if a variant keeps more dimensions than its model's vectors have.

    Raises:
        ModelError: ``wanted`` is greater than ``dimensions``.
    """
    if wanted > dimensions:
        raise ModelError(f"its vectors have {dimensions} dimensions, so {wanted} of them cannot be kept")
