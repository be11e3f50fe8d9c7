"""Interface of a loaded checkpoint, as ``SentenceTransformerModel`` uses it.

Two classes have it: ``plain_network.py`` runs ordinary checkpoints on a CPU, without importing what only training
needs; ``library_network.py`` runs all others, and everything on GPUs, with sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import PreparedText


class Network(Protocol):
    """A checkpoint's tokenizer and modules, loaded. ``prepare`` and ``vectors`` may run in many threads."""

    declared: Mapping[str, str | None]
    """Name -> prompt, as the checkpoint declares them."""
    default_prompt_name: str | None
    """Name of the prompt that ``encode`` uses if no role is given."""
    notice: str
    """Note for the user on the length at which texts are cut; empty where there is nothing to say."""

    @property
    def facts(self) -> dict[str, Any]:
        """Return fields of ``ModelFacts`` that the checkpoint's files and modules determine."""
        ...

    def for_role(self, role: Role) -> Network:
        """Return the network for texts of a role; the weights are shared."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """Return the transformer's settings, as ``config.json`` names them; empty if there is no transformer."""
        ...

    def parameters(self) -> Iterable[torch.Tensor]:
        """Return all weights."""
        ...

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        """Tokenize in bulk with the prompt in front, cut at the maximal length."""
        ...

    def prompt_length(self, prompt: str) -> int | None:
        """Return the number of leading tokens that pooling may leave out; None if the module leaves none out."""
        ...

    def vectors(self, batch: Sequence[PreparedText], prompt_length: int | None) -> torch.Tensor:
        """Return the batch's vectors, shape (texts, dimensions), in the weights' number format and on their device."""
        ...

    def states(self, text: PreparedText) -> torch.Tensor | None:
        """Return the states of a text's tokens, shape (tokens, width); None if there is no transformer."""
        ...
