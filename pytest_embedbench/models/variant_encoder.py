"""An encoder that gives a variant's vectors, as a server of the variant would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_embedbench.models.protocol import Encoder, ModelFacts, ParallelEncoder, PreparedText, Role
from pytest_embedbench.models.wire import Wire, Wired

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from pytest_embedbench.models.form import VectorForm
    from pytest_embedbench.models.protocol import Vectors


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
