"""The model that is asked: its vectors, alone and in company, and what it is declared to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_embedbench import catalog
from pytest_embedbench.datasets.types import Role
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import SERVED, Encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_embedbench.models.protocol import ModelFacts, Vectors
    from pytest_embedbench.models.spec import ModelSpec, NamedModel

TOLERANCE = {"fp32": 1e-5, "fp16": 1e-3, "bf16": 5e-3}
"""How far two vectors of one text may be apart (1 - cosine), by the number format that made them: rounding in other
batches moves them by some 1e-7, 1e-5 and 1e-3."""

UNIT = {"fp32": 1e-4, "fp16": 5e-3, "bf16": 1e-2}
"""How far a vector's length may be from 1."""


class Subject:
    """A model under examination.

    ``declared`` is the catalogue's entry of the model, None where it has none. ``reference`` is the model whose
    vectors it should have.
    """

    def __init__(self, named: NamedModel, model: Encoder, reference: Encoder | None = None) -> None:
        self.named, self.model, self.reference = named, model, reference
        self.declared = catalog.entry_of(named.spec)
        self._alone: dict[tuple[str, Role], Vectors] = {}

    @property
    def spec(self) -> ModelSpec:
        return self.named.spec

    @property
    def facts(self) -> ModelFacts:
        return self.model.facts

    @property
    def served(self) -> bool:
        return self.facts.device == SERVED

    @property
    def tolerance(self) -> float:
        """The largest distance of two vectors of one text; where the number format is not known, as for bf16."""
        return TOLERANCE.get(self.facts.dtype, max(TOLERANCE.values()))

    @property
    def unit_tolerance(self) -> float:
        return UNIT.get(self.facts.dtype, max(UNIT.values()))

    @property
    def format(self) -> str:
        """The number format, as tolerances speak of it."""
        return self.facts.dtype or "an unknown number format"

    def together(self, texts: Sequence[str], role: Role) -> Vectors:
        """Vectors of texts that are encoded as one batch, shape (texts, dimensions)."""
        vectors = self.model.forward(self.model.prepare(texts, role), role)
        if len(vectors) != len(texts):
            raise ModelError(f"the model gave {len(vectors)} vectors for {len(texts)} texts")
        return vectors

    def alone(self, texts: Sequence[str], role: Role) -> Vectors:
        """Vectors of texts that are encoded one by one, shape (texts, dimensions); each is asked for once."""
        for text in texts:
            if (text, role) not in self._alone:
                self._alone[text, role] = self.together([text], role)[0]
        return np.stack([self._alone[text, role] for text in texts])


def distances(one: Vectors, other: Vectors) -> NDArray[np.float64]:
    """1 - cosine, row by row; 1 where a vector is zero or not finite."""
    a, b = one.astype(np.float64), other.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    found: NDArray[np.float64] = 1 - np.nan_to_num(cosines, nan=0.0)
    return found
