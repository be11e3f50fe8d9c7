"""Local models that sentence-transformers can load. torch is not imported until one is loaded."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_embedbench.core.similarity import DEFAULT_SIMILARITY
from pytest_embedbench.errors import ModelError
from pytest_embedbench.machine.device import best_device
from pytest_embedbench.models.checkpoint import TokenCounter, checkpoint_token_counter, declared_similarity
from pytest_embedbench.models.registry import LoadOptions, ModelKind, SourceCache
from pytest_embedbench.models.source import ModelSource, checkpoint_dtype, locate_checkpoint

if TYPE_CHECKING:
    from pytest_embedbench.core.similarity import Similarity
    from pytest_embedbench.models.protocol import Model
    from pytest_embedbench.models.spec import NamedModel


class LocalKind(ModelKind):
    """Checkpoints in a folder, in an installed package or on the Hub."""

    def locate(self, model: NamedModel) -> ModelSource:
        return locate_checkpoint(model)

    def load(self, model: NamedModel, sources: SourceCache, options: LoadOptions) -> Model:
        folder = sources.locate(model).folder
        if folder is None:
            raise ModelError(f"model {model.alias!r} has no files to load")
        with _without_garbage_collection():
            try:
                from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
            except ImportError as error:
                problem = f"needs sentence-transformers and torch: {error}"
                raise ModelError(f"model {model.alias!r} {problem}") from error
            return SentenceTransformerModel(
                model, folder, device=options.device or best_device(), dtype=options.dtype, memory=options.memory
            )

    def default_dtype(self, model: NamedModel, sources: SourceCache, device: str) -> str:
        """Return fp32 on a CPU, where it is exact; on a GPU the checkpoint's own format, to need no more memory.

        Return an empty string where torch does not run the model: then the model's files decide.
        """
        if model.spec.backend != "torch":
            return ""
        if device == "cpu":
            return "fp32"
        folder = sources.locate(model).folder
        return (folder and checkpoint_dtype(folder)) or "fp32"

    def similarity(self, model: NamedModel, sources: SourceCache) -> Similarity:
        folder = sources.locate(model).folder
        return model.spec.similarity or declared_similarity(folder) or DEFAULT_SIMILARITY

    def token_counter(self, model: NamedModel) -> TokenCounter:
        return checkpoint_token_counter(model)


KIND = LocalKind()


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Pause garbage collection, which makes importing torch a tenth slower and finds hardly any garbage then."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
