"""From a model's name to the model itself: the only place that imports a model library."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.source import checkpoint_dtype, locate

if TYPE_CHECKING:
    from pytest_embedbench.models.local.remembered import Memory
    from pytest_embedbench.models.protocol import Model
    from pytest_embedbench.models.spec import NamedModel


def best_device() -> str:
    """The fastest device that torch sees here."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def usual_dtype(model: NamedModel, device: str) -> str:
    """On a GPU the checkpoint's own number format, for which its memory is reckoned; on a CPU fp32, which is exact.

    Empty where torch does not run it: then its files decide.
    """
    if model.spec.backend != "torch":
        return ""
    if model.spec.kind != "sentence-transformers" or device == "cpu":
        return "fp32"
    folder = locate(model).folder
    return (folder and checkpoint_dtype(folder)) or "fp32"


def load_model(model: NamedModel, *, device: str, dtype: str, memory: Memory | None = None) -> Model:
    """Load the model; what takes long to read of its settings is kept in ``memory``.

    Raises:
        ModelError: it is not to be had, its files do not load, or its server does not answer.
    """
    if model.spec.kind == "bm25":
        from pytest_embedbench.models.bm25 import BM25Model

        return BM25Model()
    if model.spec.kind == "endpoint":
        from pytest_embedbench.models.served.endpoint import EndpointModel

        return EndpointModel(model)
    if model.spec.kind == "callable":
        from pytest_embedbench.models.callable import load_callable

        return load_callable(model)
    folder = locate(model).folder
    if folder is None:
        raise ModelError(f"model {model.alias!r} has no files to load")
    with _uncollected():
        try:
            from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
        except ImportError as error:
            raise ModelError(f"model {model.alias!r} needs sentence-transformers and torch: {error}") from error
        return SentenceTransformerModel(model, folder, device=device or best_device(), dtype=dtype, memory=memory)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Put garbage collection off: importing torch and transformers makes none, and takes a tenth longer with it."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
