"""Recognise batches that do not fit into memory, whichever library reports it, and run them in halves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pytest_embedbench.errors import EmbedbenchError

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import PreparedText, Vectors

OUT_OF_MEMORY_PHRASES = (
    "out of memory",  # CUDA, MPS, oneDNN
    "cublas_status_alloc_failed",
    "can't allocate memory",  # torch on a CPU
    "not enough memory",  # the same on Windows
    "failed to allocate memory",  # ONNX Runtime
    "bad_alloc",
    "bad allocation",
)
"""Parts of the messages in which libraries say that memory did not suffice, in lower case."""

AMBIGUOUS_PHRASES = ("could not create a primitive",)
"""Words of oneDNN where memory does not suffice for a kernel, but also where it has no kernel for a shape."""


class DoesNotFitError(Exception):
    """A single text, alone in its batch, does not fit into memory."""

    def __init__(self, text: PreparedText) -> None:
        self.text = text


def is_out_of_memory(error: Exception) -> bool:
    """Whether an exception reports a lack of memory, or something that may be one."""
    # These quote texts and servers, whose words say nothing about the memory of this machine.
    if isinstance(error, EmbedbenchError):
        return False
    phrases = (*OUT_OF_MEMORY_PHRASES, *AMBIGUOUS_PHRASES)
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in phrases)


def forward_in_halves(
    forward: Callable[[Sequence[PreparedText]], Vectors],
    batch: Sequence[PreparedText],
    exceeded: Callable[[int], None],
) -> Vectors:
    """Return the vectors of a batch, shape (texts, dimensions); it runs in halves where it does not fit into memory.

    Args:
        forward: computes the vectors of texts.
        batch: the batch's texts.
        exceeded: called with the tokens, padding included, of each batch that did not fit.

    Raises:
        DoesNotFitError: a text does not fit alone.
        Exception: ``forward`` failed for another reason; for a text alone that may be one of ``AMBIGUOUS_PHRASES``.
    """
    try:
        return forward(batch)
    except Exception as error:
        if not is_out_of_memory(error) or (len(batch) == 1 and _is_ambiguous(error)):
            raise
    # Not within the handler: there, the exception's frames still hold the tensors that filled the memory.
    _release()
    exceeded(len(batch) * max(text.length for text in batch))
    if len(batch) == 1:
        raise DoesNotFitError(batch[0])
    half = len(batch) // 2
    return np.concatenate([forward_in_halves(forward, part, exceeded) for part in (batch[:half], batch[half:])])


def _is_ambiguous(error: Exception) -> bool:
    return any(words in str(error).lower() for words in AMBIGUOUS_PHRASES)


def _release() -> None:
    """Release the GPU memory that torch keeps for later, which may be in pieces too small for a batch."""
    # Not imported here: a model that runs without torch has nothing to release.
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
