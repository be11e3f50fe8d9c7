"""Ordinary checkpoints on a CPU, without sentence-transformers.

Importing it takes as long as torch and transformers together, for losses, trainers and evaluators that encoding has no
use of. What it does to encode texts is little where batches have no padding, and done here in the same way;
``library.py`` has every other checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from pytest_embedbench.models.fast.attention import packed_attention
from pytest_embedbench.models.local.bert import bert
from pytest_embedbench.models.local.plain_checkpoint import (
    LOCAL,
    Normalize,
    NotPlainError,
    PlainCheckpoint,
    plain_checkpoint,
)
from pytest_embedbench.models.local.remembered import Memory, ReadyTokenizer, keep, remembered
from pytest_embedbench.models.local.text_tokenizer import TextTokenizer, tokens
from pytest_embedbench.models.sample_texts import PROBE

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import PreparedText


class Body(Protocol):
    """A transformer with its weights."""

    architecture: str

    def parameters(self) -> Iterable[torch.Tensor]:
        """All weights."""
        ...

    def states(self, row: Sequence[Sequence[int]]) -> torch.Tensor:
        """Of the tokens of texts that stand in one row, shape (tokens, width); until it has settled, of one text."""
        ...

    def settle(self, vectors: Callable[[], torch.Tensor], expected: torch.Tensor) -> bool:
        """Take several texts in one row from now on, if they have these vectors then."""
        ...


def plain_network(folder: Path, dtype: torch.dtype, max_length: int | None, memory: Memory | None) -> Plain | None:
    """The checkpoint in a folder, cutting texts at so many tokens; None where sentence-transformers must load it.

    That is so where its files ask for more than is done here, or where its vectors in a batch are not those of each
    text alone.
    """
    checkpoint = plain_checkpoint(folder)
    if checkpoint is None:
        return None
    try:
        network = Plain(checkpoint, dtype, max_length, memory)
        return network if network.pack() else None
    except Exception:  # noqa: BLE001 - whatever loading or a model raises: sentence-transformers is asked then
        return None


class Plain:
    """A ``Network`` of transformers' model and tokenizer; its batches have no padding."""

    def __init__(
        self, checkpoint: PlainCheckpoint, dtype: torch.dtype, max_length: int | None, memory: Memory | None
    ) -> None:
        self.declared: Mapping[str, str | None] = checkpoint.prompts
        self._checkpoint, self._dtype = checkpoint, dtype
        self._body, tokenizer = _as_remembered(checkpoint, dtype, memory) or _as_told(checkpoint, dtype, memory)
        self._after = torch.nn.Sequential(*checkpoint.after).to(dtype)
        self._tokenizer = TextTokenizer(tokenizer, max_length)
        self.notice = self._tokenizer.notice

    def pack(self) -> bool:
        """Take texts in one row from now on, if that leaves their vectors as they are alone."""
        texts = self.prepare(PROBE, "")
        alone = torch.cat([self.vectors([text], None) for text in texts])
        return self._body.settle(lambda: self.vectors(texts, None), alone)

    @property
    def facts(self) -> dict[str, Any]:
        pooling, after, dimensions = self._checkpoint.pooling, self._checkpoint.after, self._checkpoint.dimensions
        cut = self._checkpoint.truncate_dim
        return {
            "architecture": self._body.architecture,
            "dimensions": dimensions if cut is None else min(dimensions, cut),
            "normalized": bool(after) and isinstance(after[-1], Normalize) and cut is None,
            "max_tokens": self._tokenizer.max_length,
            "pooling": str(pooling),
            "padding_side": self._tokenizer.padding_side,
            "attention": packed_attention(self._dtype),
        }

    def parameters(self) -> Iterable[torch.Tensor]:
        return chain(self._body.parameters(), self._after.parameters())

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        return self._tokenizer.prepare(texts, prompt)

    def prompt_length(self, prompt: str) -> int | None:
        return self._tokenizer.prompt_length(prompt)

    @torch.inference_mode()
    def vectors(self, batch: Sequence[PreparedText], prompt_length: int | None) -> torch.Tensor:
        row = tokens(batch)
        pooled = self._checkpoint.pooling(
            self._body.states(row), torch.tensor([len(ids) for ids in row]), prompt_length
        )
        vectors: torch.Tensor = self._after(pooled)[:, : self._checkpoint.truncate_dim]
        return vectors


def _as_remembered(
    checkpoint: PlainCheckpoint, dtype: torch.dtype, memory: Memory | None
) -> tuple[Body, ReadyTokenizer] | None:
    """The model and its tokenizer without any of transformers, where it was loaded before."""
    ready = remembered(checkpoint.transformer, memory)
    body = ready and bert(checkpoint.transformer, ready.sizes, dtype)
    return (body, ReadyTokenizer(ready.tokenizer)) if ready and body else None


def _as_told(checkpoint: PlainCheckpoint, dtype: torch.dtype, memory: Memory | None) -> tuple[Body, Any]:
    """The model and its tokenizer as transformers reads the checkpoint's settings."""
    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(checkpoint.transformer, **LOCAL)
    body = bert(checkpoint.transformer, config, dtype)
    if body:
        tokenizer = _tokenizer(AutoTokenizer.from_pretrained, checkpoint, config)
        keep(checkpoint.transformer, memory, config, tokenizer)
        return body, tokenizer
    # These imports take longer than that of torch.
    from transformers import AutoProcessor

    from pytest_embedbench.models.local.transformer import Transformer

    other = Transformer(checkpoint.transformer, config, dtype)
    return other, _tokenizer(AutoProcessor.from_pretrained, checkpoint, config)


def _tokenizer(read: Callable[..., Any], checkpoint: PlainCheckpoint, config: Any) -> Any:
    """The tokenizer, as sentence-transformers' Transformer loads it: cutting where the checkpoint's settings say.

    Without such a setting it cuts where the model has no more positions.
    """
    from transformers import PreTrainedTokenizerBase

    longest = checkpoint.max_seq_length
    given = {} if longest is None else {"model_max_length": longest}
    tokenizer = read(checkpoint.transformer, **LOCAL, **given)
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise NotPlainError
    positions = getattr(config, "max_position_embeddings", -1)
    if longest is None and positions != -1:  # XLNet's word for no limit
        tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
    return tokenizer
