"""A variant of a model as an ``Encoder``: the model, with its vectors in the variant's form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from pytest_embedbench.datasets.types import Role
from pytest_embedbench.encode.vector_form import VectorForm, refuse_too_many
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import Encoder, ModelFacts, ParallelEncoder, PreparedText, is_foreign
from pytest_embedbench.models.served.wire import Wire, Wired

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from pytest_embedbench.models.protocol import Vectors
    from pytest_embedbench.models.spec import NamedModel


def describe_variant(model: NamedModel, facts: ModelFacts) -> ModelFacts:
    """Return the facts of a variant, from its loaded model's: dimensions kept, precision, bytes a vector.

    Raises:
        ModelError: the model has fewer dimensions than the variant keeps.
    """
    variant = model.variant
    if facts.dimensions is None:
        return facts
    try:
        dimensions = variant.dimensions or facts.dimensions
        refuse_too_many(dimensions, facts.dimensions)
    except ModelError as error:
        raise ModelError(error.problem, where=f"model {model.alias!r}") from None
    return msgspec.structs.replace(
        facts,
        dimensions=dimensions,
        normalized=facts.normalized and variant.precision == "float32",
        precision=variant.precision,
        bytes_per_vector=variant.bytes_per_vector(dimensions),
    )


def variant_encoder(model: Encoder, form: VectorForm, facts: ModelFacts) -> VariantEncoder:
    """Return an encoder that gives the model's vectors in a variant's form.

    It is a ``ParallelEncoder`` if the model is one.

    Args:
        model: the encoder of the whole vectors.
        form: the variant's form.
        facts: the variant's facts about itself.
    """
    # Two classes, since isinstance() of a protocol looks for its attributes, not for what they return.
    if isinstance(model, ParallelEncoder):
        return ParallelVariantEncoder(model, form, facts)
    return VariantEncoder(model, form, facts)


class VariantEncoder:
    """Variant of a model that runs in the caller's thread or behind HTTP."""

    def __init__(self, model: Encoder, form: VectorForm, facts: ModelFacts) -> None:
        self._model, self._form, self._facts = model, form, facts

    @property
    def whole(self) -> Encoder:
        """The model, which gives whole vectors."""
        return self._model

    @property
    def form(self) -> VectorForm:
        return self._form

    @property
    def facts(self) -> ModelFacts:
        return self._facts

    @property
    def foreign(self) -> bool:
        return is_foreign(self._model)

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        return self._model.prepare(texts, role)

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        return self._form(self._model.forward(batch, role))

    def wire(self) -> Wire | None:
        return self._model.wire() if isinstance(self._model, Wired) else None


class ParallelVariantEncoder(VariantEncoder):
    """Variant of a model that runs several batches at once; a ``ParallelEncoder`` itself."""

    def __init__(self, model: ParallelEncoder, form: VectorForm, facts: ModelFacts) -> None:
        super().__init__(model, form, facts)
        self._parallel = model

    @property
    def workers(self) -> int:
        return self._parallel.workers

    def side_by_side(self) -> AbstractContextManager[Executor]:
        return self._parallel.side_by_side()
