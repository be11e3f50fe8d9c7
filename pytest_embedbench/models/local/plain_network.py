"""Ordinary checkpoints on a CPU, without sentence-transformers.

Importing sentence-transformers takes as long as torch and transformers together, for losses, trainers and evaluators
that encoding does not use. Its steps from texts to vectors are few where batches have no padding; this module takes the
same steps. ``library_network.py`` has every other checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from pytest_embedbench.models.fast.attention import packed_attention
from pytest_embedbench.models.local.bert import load_bert
from pytest_embedbench.models.local.plain_checkpoint import (
    LOAD_OPTIONS,
    Normalize,
    NotPlainError,
    PlainCheckpoint,
    plain_checkpoint,
)
from pytest_embedbench.models.local.settings_cache import Memory, ReadyTokenizer, keep, remembered
from pytest_embedbench.models.local.text_tokenizer import TextTokenizer, token_ids
from pytest_embedbench.models.sample_texts import SAMPLE_TEXTS

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import PreparedText


class Body(Protocol):
    """A transformer with its weights."""

    architecture: str
    """transformers' name of the kind of model, e.g. ``bert``."""

    def parameters(self) -> Iterable[torch.Tensor]:
        """Return all weights."""
        ...

    def states(self, batch: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the states of all tokens of a batch, text after text, shape (tokens, width).

        Until ``pack_if_same`` returned True, a batch holds one text.
        """
        ...

    def pack_if_same(self, compute: Callable[[], torch.Tensor], expected: torch.Tensor) -> bool:
        """Take several texts in one row from now on, unless that changes their vectors.

        Args:
            compute: makes the vectors of sample texts as one batch, shape (texts, dimensions).
            expected: the vectors of each of these texts alone, same shape.

        Returns:
            Whether the vectors are the same up to rounding.
        """
        ...


def plain_network(
    folder: Path, dtype: torch.dtype, max_length: int | None, memory: Memory | None
) -> PlainNetwork | None:
    """Return the checkpoint in a folder; None if sentence-transformers must load it.

    That is the case if the files ask for more than this module does, or if texts get other vectors in a batch than
    alone.

    Args:
        folder: the checkpoint, as sentence-transformers saves it.
        dtype: the number format to convert the weights to.
        max_length: tokens at which texts are cut; None for the checkpoint's own limit.
        memory: keeps what takes long to read of its settings; None to keep nothing.
    """
    checkpoint = plain_checkpoint(folder)
    if checkpoint is None:
        return None
    try:
        network = PlainNetwork(checkpoint, dtype, max_length, memory)
        return network if network.pack() else None
    except Exception:  # noqa: BLE001 - whatever loading or a model raises: sentence-transformers is asked then
        return None


class PlainNetwork:
    """A ``Network`` of transformers' model and tokenizer; its batches have no padding."""

    def __init__(
        self, checkpoint: PlainCheckpoint, dtype: torch.dtype, max_length: int | None, memory: Memory | None
    ) -> None:
        self.declared: Mapping[str, str | None] = checkpoint.prompts
        self.default_prompt_name = checkpoint.default_prompt_name
        self._checkpoint, self._dtype = checkpoint, dtype
        self._body, tokenizer = _from_memory(checkpoint, dtype, memory) or _from_files(checkpoint, dtype, memory)
        self._layers_after = torch.nn.Sequential(*checkpoint.layers_after).to(dtype)
        self._tokenizer = TextTokenizer(tokenizer, max_length)
        self.notice = self._tokenizer.notice

    def pack(self) -> bool:
        """Take several texts in one row from now on; False if that changes their vectors."""
        texts = self.prepare(SAMPLE_TEXTS, "")
        alone = torch.cat([self.vectors([text], None) for text in texts])
        return self._body.pack_if_same(lambda: self.vectors(texts, None), alone)

    @property
    def facts(self) -> dict[str, Any]:
        checkpoint, cut = self._checkpoint, self._checkpoint.truncate_dim
        last = checkpoint.layers_after[-1] if checkpoint.layers_after else None
        return {
            "architecture": self._body.architecture,
            "dimensions": checkpoint.dimensions if cut is None else min(checkpoint.dimensions, cut),
            "normalized": isinstance(last, Normalize) and cut is None,
            "max_tokens": self._tokenizer.max_length,
            "pooling": str(checkpoint.pooling),
            "padding_side": self._tokenizer.padding_side,
            "attention": packed_attention(self._dtype),
        }

    def for_role(self, role: Role) -> PlainNetwork:  # noqa: ARG002 - all texts go through the same modules
        return self

    @property
    def settings(self) -> Mapping[str, Any]:
        settings: dict[str, Any] = json.loads((self._checkpoint.transformer / "config.json").read_bytes())
        return settings

    def parameters(self) -> Iterable[torch.Tensor]:
        return chain(self._body.parameters(), self._layers_after.parameters())

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        return self._tokenizer.prepare(texts, prompt)

    def prompt_length(self, prompt: str) -> int | None:
        return self._tokenizer.prompt_length(prompt)

    @torch.inference_mode()
    def vectors(self, batch: Sequence[PreparedText], prompt_length: int | None) -> torch.Tensor:
        ids = token_ids(batch)
        lengths = torch.tensor([len(text) for text in ids])
        pooled = self._checkpoint.pooling(self._body.states(ids), lengths, prompt_length)
        vectors: torch.Tensor = self._layers_after(pooled)[:, : self._checkpoint.truncate_dim]
        return vectors

    @torch.inference_mode()
    def states(self, text: PreparedText) -> torch.Tensor:
        return self._body.states(token_ids([text]))


def _from_memory(
    checkpoint: PlainCheckpoint, dtype: torch.dtype, memory: Memory | None
) -> tuple[Body, ReadyTokenizer] | None:
    """Return the model and its tokenizer without importing transformers; None unless they were loaded before."""
    ready = remembered(checkpoint.transformer, memory)
    body = ready and load_bert(checkpoint.transformer, ready.sizes, dtype)
    return (body, ReadyTokenizer(ready.tokenizer)) if ready and body else None


def _from_files(checkpoint: PlainCheckpoint, dtype: torch.dtype, memory: Memory | None) -> tuple[Body, Any]:
    """Return the model and its tokenizer, the checkpoint's settings read by transformers."""
    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(checkpoint.transformer, **LOAD_OPTIONS)
    body = load_bert(checkpoint.transformer, config, dtype)
    if body:
        tokenizer = _tokenizer(AutoTokenizer.from_pretrained, checkpoint, config)
        keep(checkpoint.transformer, memory, config, tokenizer)
        return body, tokenizer
    # Imported only here, since these take longer to import than torch.
    from transformers import AutoProcessor

    from pytest_embedbench.models.local.transformer import Transformer

    transformer = Transformer(checkpoint.transformer, config, dtype)
    return transformer, _tokenizer(AutoProcessor.from_pretrained, checkpoint, config)


def _tokenizer(read: Callable[..., Any], checkpoint: PlainCheckpoint, config: Any) -> Any:
    """Return the tokenizer, as sentence-transformers' Transformer loads it.

    It cuts texts at the length that the checkpoint's settings give or, without one, at the model's number of positions.
    """
    from transformers import PreTrainedTokenizerBase

    longest = checkpoint.max_seq_length
    given = {} if longest is None else {"model_max_length": longest}
    tokenizer = read(checkpoint.transformer, **LOAD_OPTIONS, **given)
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise NotPlainError
    positions = getattr(config, "max_position_embeddings", -1)
    if longest is None and positions != -1:  # XLNet's number for no limit
        tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
    return tokenizer
