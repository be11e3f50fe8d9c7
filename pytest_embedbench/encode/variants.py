"""From a model's vectors to those of its variant: cut, brought to length 1 again, quantized.

The model is run once for all its variants: a variant is a function of the vectors that it gives. Quantized vectors are
float32 values here, those that the stored bits stand for, so that their inner products are the variant's scores.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pytest_embedbench.core.batching import distinct
from pytest_embedbench.datasets.types import Role
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import Encoder, ModelFacts, ParallelEncoder, PreparedText
from pytest_embedbench.models.served.wire import Wire, Wired
from pytest_embedbench.models.variants import Variant

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from pytest_embedbench.models.protocol import Vectors
    from pytest_embedbench.models.spec import NamedModel

CALIBRATION = 1000
"""Documents that the ranges of int8 are taken from."""

LEVELS = 255
"""Steps that int8 divides the range of a dimension into."""


@dataclass(frozen=True)
class VectorForm:
    """Gives a vector its variant's form; a function of each vector alone, so that batches do not matter.

    ``normalized`` says whether the model gives vectors of length 1. ``ranges`` is int8's: the least and the greatest
    value of each kept dimension over the calibration sample, shape (2, dimensions).
    """

    variant: Variant
    normalized: bool = False
    ranges: Vectors | None = None

    def __call__(self, vectors: Vectors) -> Vectors:
        """The variant's vectors, shape (texts, dimensions kept), float32.

        - The cut is sentence-transformers' ``truncate_dim``, then its ``normalize_embeddings`` where the model's own
          vectors have length 1.
        - ``int8`` has sentence-transformers' codes (``quantize_embeddings`` with these ranges): a dimension's range is
          divided into 255 steps, and values outside of it are clipped. A code stands for the middle of its step, as in
          faiss's ``ScalarQuantizer``.
        - ``binary`` is the sign, 1 for values above zero and -1 for others. The inner product of two such vectors is
          the number of equal bits less that of different ones, so it orders as the Hamming distance does. It is exact:
          float32 holds every integer up to 2^24.

        Raises:
            ModelError: the vectors have fewer dimensions than are to be kept.
        """
        if not len(vectors):
            return vectors
        cut = self._cut(vectors)
        if self.variant.precision == "binary":
            return np.where(cut > 0, np.float32(1), np.float32(-1))
        if self.ranges is None:
            return cut
        low, high = self.ranges
        step = (high - low) / LEVELS
        codes = np.clip(np.floor((cut - low) / np.where(step == 0, 1, step)), 0, LEVELS)
        restored: Vectors = low + (codes + np.float32(0.5)) * step
        return restored

    def _cut(self, vectors: Vectors) -> Vectors:
        kept = self.variant.dimensions
        if kept is None:
            return vectors
        refuse_too_many(kept, vectors.shape[1])
        cut = vectors[:, :kept]
        if not self.normalized:
            return cut
        # torch.nn.functional.normalize: a vector of zeros stays one.
        unit: Vectors = cut / np.maximum(np.linalg.norm(cut, axis=1, keepdims=True), np.float32(1e-12))
        return unit


def fit(variant: Variant, facts: ModelFacts, sample: Callable[[], Vectors]) -> VectorForm:
    """The form of a variant.

    Args:
        variant: what is kept of the vectors.
        facts: what the model says of itself.
        sample: gives the model's vectors of the calibration sample, shape (documents, dimensions); called where the
            form depends on it, which is for int8.
    """
    form = VectorForm(variant, facts.normalized)
    if variant.precision != "int8" or not len(vectors := sample()):
        return form
    cut = form._cut(vectors)  # noqa: SLF001 - our own class's
    return VectorForm(variant, facts.normalized, np.stack([cut.min(axis=0), cut.max(axis=0)]))


def calibration(texts: Sequence[str]) -> list[int]:
    """Which documents int8's ranges are taken from: indices of at most ``CALIBRATION`` of them, with distinct texts.

    Those with the lowest sha256 of their text: a random sample that depends on which documents there are and not on
    their order, and that stays nearly the same when some are added.
    """
    unique, indices = distinct(texts)
    place: dict[int, int] = {}
    for index, row in enumerate(indices):
        place.setdefault(row, index)
    rows = heapq.nsmallest(CALIBRATION, range(len(unique)), key=lambda row: _digest(unique[row]))
    return [place[row] for row in rows]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def describe_variant(model: NamedModel, facts: ModelFacts) -> ModelFacts:
    """What a variant is, from what its loaded model says of itself: dimensions kept, precision, bytes a vector.

    Raises:
        ModelError: it has fewer dimensions than are to be kept.
    """
    variant = model.variant
    if facts.dimensions is None:
        return facts
    try:
        dimensions = variant.dimensions or facts.dimensions
        refuse_too_many(dimensions, facts.dimensions)
    except ModelError as error:
        raise ModelError(f"model {model.alias!r}: {error}") from None
    return msgspec.structs.replace(
        facts,
        dimensions=dimensions,
        normalized=facts.normalized and variant.precision == "float32",
        precision=variant.precision,
        bytes_per_vector=variant.bytes_per_vector(dimensions),
    )


def refuse_too_many(kept: int, dimensions: int) -> None:
    """Refuse to keep more dimensions than there are.

    Raises:
        ModelError: kept > dimensions.
    """
    if kept > dimensions:
        raise ModelError(f"its vectors have {dimensions} dimensions, so {kept} of them cannot be kept")


def variant_encoder(model: Encoder, form: VectorForm, facts: ModelFacts) -> VariantEncoder:
    """The model with its vectors in this form; several batches may run at once where they may in the model.

    Args:
        model: gives vectors.
        form: what they are brought into.
        facts: what the variant says of itself.
    """
    if isinstance(model, ParallelEncoder):
        return ParallelVariantEncoder(model, form, facts)
    return VariantEncoder(model, form, facts)


class VariantEncoder:
    """An ``Encoder``, over a model that works in the caller's thread or elsewhere."""

    def __init__(self, model: Encoder, form: VectorForm, facts: ModelFacts) -> None:
        self._model, self._form, self._facts = model, form, facts

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        return self._model.prepare(texts, role)

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        return self._form(self._model.forward(batch, role))

    def wire(self) -> Wire | None:
        return self._model.wire() if isinstance(self._model, Wired) else None


class ParallelVariantEncoder(VariantEncoder):
    """A ``ParallelEncoder``."""

    def __init__(self, model: ParallelEncoder, form: VectorForm, facts: ModelFacts) -> None:
        super().__init__(model, form, facts)
        self._parallel = model

    @property
    def workers(self) -> int:
        return self._parallel.workers

    def side_by_side(self) -> AbstractContextManager[Executor]:
        return self._parallel.side_by_side()
