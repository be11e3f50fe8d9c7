"""Registry of the kinds of models. A new kind is one module with a ``ModelKind``, and a line in ``KIND_MODULES``."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from pytest_embedbench.core.similarity import DEFAULT_SIMILARITY
from pytest_embedbench.errors import ModelError

if TYPE_CHECKING:
    from pytest_embedbench.core.similarity import Similarity
    from pytest_embedbench.models.checkpoint import TokenCounter
    from pytest_embedbench.models.local.settings_cache import Memory
    from pytest_embedbench.models.protocol import Model
    from pytest_embedbench.models.served.pace import Pace
    from pytest_embedbench.models.source import ModelSource
    from pytest_embedbench.models.spec import NamedModel

KIND_MODULES = {
    "sentence-transformers": "pytest_embedbench.models.local.kind",
    "bm25": "pytest_embedbench.models.bm25",
    "endpoint": "pytest_embedbench.models.served.endpoint",
    "callable": "pytest_embedbench.models.callable",
}
"""Kind, as definitions name it -> name of the module whose ``KIND`` is its ``ModelKind``. Only the modules of kinds in
use are imported."""


class LoadOptions(NamedTuple):
    """Choices that hold for any local model."""

    device: str
    """Device as torch names it; empty for the fastest one."""
    dtype: str
    """Number format, e.g. ``bf16``; empty where the model's files decide."""
    memory: Memory | None
    """Keeps what takes long to read of a checkpoint's settings; None to keep nothing."""


class ModelKind:
    """A kind of models; the base class has the defaults for kinds without weights and without a tokenizer."""

    def locate(self, model: NamedModel) -> ModelSource:
        """Return where the model's files lie, and its fingerprint, which decides whether stored results are used again.

        The model is not loaded, but its files may be downloaded, its server asked or its module imported.

        Raises:
            ModelError: the model cannot be found.
        """
        raise NotImplementedError

    def load(self, model: NamedModel, sources: SourceCache, options: LoadOptions) -> Model:
        """Return the model, ready for use.

        Raises:
            ModelError: the model cannot be found, its files do not load, or its server does not answer.
        """
        raise NotImplementedError

    def default_dtype(self, model: NamedModel, sources: SourceCache, device: str) -> str:  # noqa: ARG002 - for others
        """Return the number format that the model runs in by default; empty where torch does not run it."""
        return "fp32"

    def similarity(self, model: NamedModel, sources: SourceCache) -> Similarity | None:  # noqa: ARG002 - for others
        """Return the similarity by which documents are ranked; None if the model makes no vectors.

        Raises:
            ModelError: the model cannot be found, or its files declare an unknown one.
        """
        return model.spec.similarity or DEFAULT_SIMILARITY

    def token_counter(self, model: NamedModel) -> TokenCounter:
        """Return a counter of the model's tokens; only its settings and tokenizer are read or downloaded.

        Raises:
            ModelError: the model has no tokenizer, or it cannot be found.
        """
        raise ModelError(f"model {model.alias!r} has no tokenizer to count tokens with")


class SourceCache:
    """Sources of models, each located only once, since files may be large and servers slow.

    A cache never looks at a file again, so its lifetime decides for how long files are taken to be unchanged.
    """

    def __init__(self) -> None:
        self._sources: dict[NamedModel, ModelSource] = {}
        self.paces: dict[NamedModel, Pace] = {}
        """What the servers of models have shown to take, for as long as this cache lives."""

    def locate(self, model: NamedModel) -> ModelSource:
        """Return the source of a model, which its variants and tasks share; see ``ModelKind.locate``.

        Raises:
            ModelError: the model cannot be found.
        """
        base = model.base
        if base not in self._sources:
            self._sources[base] = locate(base)
        return self._sources[base]


def kind_of(model: NamedModel) -> ModelKind:
    """Return the kind of a model."""
    kind: ModelKind = import_module(KIND_MODULES[model.spec.kind]).KIND
    return kind


def locate(model: NamedModel) -> ModelSource:
    """Return the source of a model, found anew; see ``ModelKind.locate``."""
    return kind_of(model).locate(model)


def token_counter(model: NamedModel) -> TokenCounter:
    """Return a counter of the model's tokens; see ``ModelKind.token_counter``."""
    return kind_of(model).token_counter(model)
