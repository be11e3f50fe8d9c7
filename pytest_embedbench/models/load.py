"""Load models of any kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_embedbench.models.registry import LoadOptions, SourceCache, kind_of

if TYPE_CHECKING:
    from pytest_embedbench.models.local.settings_cache import Memory
    from pytest_embedbench.models.protocol import Model
    from pytest_embedbench.models.spec import NamedModel


def default_dtype(model: NamedModel, device: str, sources: SourceCache | None = None) -> str:
    """Return a model's default number format on a device; empty where torch does not run the model."""
    return kind_of(model).default_dtype(model, sources or SourceCache(), device)


def load_model(
    model: NamedModel,
    *,
    device: str,
    dtype: str,
    memory: Memory | None = None,
    sources: SourceCache | None = None,
) -> Model:
    """Load a model.

    Args:
        model: its definition.
        device: as torch names it; empty for the fastest one.
        dtype: number format, e.g. ``bf16``; empty where the model's files decide.
        memory: keeps what takes long to read of a checkpoint's settings; None to keep nothing.
        sources: remembers where models' files lie; None to find the files anew.

    Raises:
        ModelError: the model cannot be found, its files do not load, or its server does not answer.
    """
    return kind_of(model).load(model, sources or SourceCache(), LoadOptions(device, dtype, memory))
