"""What a loaded checkpoint is to ``SentenceTransformerModel``, whoever runs its modules.

Two fit behind it: ``plain.py`` runs ordinary checkpoints on a CPU without importing what only training needs;
``library.py`` runs all others, and everything on GPUs, with sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

    from pytest_embedbench.models.protocol import PreparedText


class Network(Protocol):
    """A checkpoint's tokenizer and modules, loaded. ``prepare`` and ``vectors`` may run in many threads."""

    declared: Mapping[str, str | None]
    """The prompts that the checkpoint declares, by name."""
    notice: str
    """What its user should know of the length at which texts are cut."""

    @property
    def facts(self) -> dict[str, Any]:
        """What its files and modules say: its share of ``ModelFacts``."""
        ...

    def parameters(self) -> Iterable[torch.Tensor]:
        """All weights."""
        ...

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        """Tokenize in bulk with the prompt in front, cut at the maximal length."""
        ...

    def prompt_length(self, prompt: str) -> int | None:
        """Tokens that pooling leaves out where the checkpoint asks for that; None where it cannot."""
        ...

    def vectors(self, batch: Sequence[PreparedText], prompt_length: int | None) -> torch.Tensor:
        """Vectors of the batch, shape (texts, dimensions), in the weights' number format and on their device."""
        ...
