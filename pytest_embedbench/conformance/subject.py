"""The model under test: its vectors, encoded alone and beside others, and the facts declared about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_embedbench import catalog
from pytest_embedbench.datasets.types import Role
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import SERVED_DEVICE, Encoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pytest_embedbench.models.protocol import ModelFacts, Vectors
    from pytest_embedbench.models.spec import ModelSpec, NamedModel

COSINE_TOLERANCE = {"fp32": 1e-5, "fp16": 1e-3, "bf16": 5e-3}
"""1 - cosine; the largest distance of two vectors of one text, by the model's number format: rounding in other batches
moves them by some 1e-7, 1e-5 and 1e-3."""

LENGTH_TOLERANCE = {"fp32": 1e-4, "fp16": 5e-3, "bf16": 1e-2}
"""Length; the largest deviation of a unit vector's from 1, by the model's number format."""


class Subject:
    """A model under test.

    ``declared`` is the catalogue's entry for the model, None if it has none. ``reference`` is the model whose vectors
    it should have.
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
        return self.facts.device == SERVED_DEVICE

    @property
    def tolerance(self) -> float:
        """Largest distance (1 - cosine) of two vectors of one text; an unknown number format is taken for bf16."""
        return COSINE_TOLERANCE.get(self.facts.dtype, max(COSINE_TOLERANCE.values()))

    @property
    def unit_tolerance(self) -> float:
        """Largest deviation of a unit vector's length from 1; an unknown number format is taken for bf16."""
        return LENGTH_TOLERANCE.get(self.facts.dtype, max(LENGTH_TOLERANCE.values()))

    @property
    def format(self) -> str:
        """The number format, as verdicts name it."""
        return self.facts.dtype or "an unknown number format"

    def together(self, texts: Sequence[str], role: Role) -> Vectors:
        """Encode texts as one batch and return their vectors, shape (texts, dimensions).

        Raises:
            ModelError: the model gave more or fewer vectors than texts.
        """
        vectors = self.model.forward(self.model.prepare(texts, role), role)
        if len(vectors) != len(texts):
            raise ModelError(f"the model gave {len(vectors)} vectors for {len(texts)} texts")
        return vectors

    def alone(self, texts: Sequence[str], role: Role) -> Vectors:
        """Encode texts one by one, each once, and return their vectors, shape (texts, dimensions)."""
        import numpy as np

        for text in texts:
            # Kept, since several probes encode the same texts, which takes seconds behind a server.
            if (text, role) not in self._alone:
                self._alone[text, role] = self.together([text], role)[0]
        return np.stack([self._alone[text, role] for text in texts])


def distances(first: Vectors, second: Vectors) -> NDArray[np.float64]:
    """Return 1 - cosine of the vectors in the same row, shape (rows,); 1 if one of them is zero or not finite."""
    import numpy as np

    a, b = first.astype(np.float64), second.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = (a * b).sum(axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return np.asarray(1 - np.nan_to_num(cosines, nan=0.0), dtype=np.float64)
