"""Ordinary checkpoints on a CPU, run by transformers alone.

Importing sentence-transformers takes as long as torch and transformers together, for losses, trainers and evaluators
that encoding has no use of. What it does to encode texts is little where batches have no padding, and done here in the
same way; ``library.py`` has every other checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoModel, AutoProcessor, PreTrainedTokenizerBase

from pytest_embedbench.models.packed import PACKED, Packing, can_pack
from pytest_embedbench.models.plain_files import Normalize, NotPlainError, PlainCheckpoint, plain_checkpoint
from pytest_embedbench.models.probe import PROBE
from pytest_embedbench.models.text_tokenizer import TextTokenizer, tokens

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import PreparedText

LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


def plain_network(folder: Path, dtype: torch.dtype, max_length: int | None) -> Plain | None:
    """The checkpoint in a folder, cutting texts at so many tokens; None where sentence-transformers must load it.

    That is so where its files ask for more than is done here, or where its vectors in a batch are not those of each
    text alone.
    """
    checkpoint = plain_checkpoint(folder)
    if checkpoint is None:
        return None
    try:
        network = Plain(checkpoint, dtype, max_length)
        return network if network.pack() else None
    except Exception:  # noqa: BLE001 - whatever loading or a model raises: sentence-transformers is asked then
        return None


class Plain:
    """A ``Network`` of transformers' model and tokenizer; its batches have no padding."""

    def __init__(self, checkpoint: PlainCheckpoint, dtype: torch.dtype, max_length: int | None) -> None:
        self.declared: Mapping[str, str | None] = checkpoint.prompts
        self._checkpoint = checkpoint
        self._model = _transformer(checkpoint.transformer, dtype)
        self._after = torch.nn.Sequential(*checkpoint.after).to(dtype)
        self._packing = Packing(self._model)
        self._tokenizer = TextTokenizer(_tokenizer(checkpoint, self._model.config), max_length)
        self.notice = self._tokenizer.notice

    def pack(self) -> bool:
        """Take texts in one row from now on, if that leaves their vectors as they are alone.

        Alone means with the model's own attention and places of tokens.
        """
        texts = self.prepare(PROBE, "")
        with torch.inference_mode():
            alone = torch.cat([self._vectors({"input_ids": torch.tensor([ids])}, [ids], None) for ids in tokens(texts)])
        return self._packing.settle(lambda: self.vectors(texts, None), alone)

    @property
    def facts(self) -> dict[str, Any]:
        pooling, after, dimensions = self._checkpoint.pooling, self._checkpoint.after, self._checkpoint.dimensions
        cut = self._checkpoint.truncate_dim
        return {
            "architecture": str(self._model.config.model_type),
            "dimensions": dimensions if cut is None else min(dimensions, cut),
            "normalized": bool(after) and isinstance(after[-1], Normalize) and cut is None,
            "max_tokens": self._tokenizer.max_length,
            "pooling": str(pooling),
            "padding_side": self._tokenizer.padding_side,
            "attention": PACKED,
        }

    def parameters(self) -> Iterable[torch.nn.Parameter]:
        return chain(self._model.parameters(), self._after.parameters())

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        return self._tokenizer.prepare(texts, prompt)

    def prompt_length(self, prompt: str) -> int | None:
        return self._tokenizer.prompt_length(prompt)

    @torch.inference_mode()
    def vectors(self, batch: Sequence[PreparedText], prompt_length: int | None) -> torch.Tensor:
        row = tokens(batch)
        return self._vectors(self._packing.inputs(row), row, prompt_length)

    def _vectors(
        self, inputs: Mapping[str, torch.Tensor], row: Sequence[Sequence[int]], prompt_length: int | None
    ) -> torch.Tensor:
        states = self._model(**inputs, return_dict=True)["last_hidden_state"][0]
        pooled = self._checkpoint.pooling(states, torch.tensor([len(ids) for ids in row]), prompt_length)
        vectors: torch.Tensor = self._after(pooled)[:, : self._checkpoint.truncate_dim]
        return vectors


def _transformer(folder: Path, dtype: torch.dtype) -> Any:
    """The model, as sentence-transformers' Transformer loads it.

    Raises:
        NotPlainError: it does more than that, or the model does not take texts in one row.
    """
    config = AutoConfig.from_pretrained(folder, **LOCAL)
    if config.is_encoder_decoder or config.sub_configs:
        raise NotPlainError  # half a model, or one of several
    if hasattr(config, "use_cache"):
        config.use_cache = False
    model = AutoModel.from_pretrained(folder, config=config, dtype=dtype, use_safetensors=True, **LOCAL)
    if not can_pack(model):
        raise NotPlainError
    return model


def _tokenizer(checkpoint: PlainCheckpoint, config: Any) -> PreTrainedTokenizerBase:
    """The tokenizer, as sentence-transformers' Transformer loads it: cutting where the checkpoint's settings say.

    Without such a setting it cuts where the model has no more positions.
    """
    longest = checkpoint.max_seq_length
    given = {} if longest is None else {"model_max_length": longest}
    tokenizer = AutoProcessor.from_pretrained(  # type: ignore[no-untyped-call]
        checkpoint.transformer, **LOCAL, **given
    )
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise NotPlainError
    positions = getattr(config, "max_position_embeddings", -1)
    if longest is None and positions != -1:  # XLNet's word for no limit
        tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
    return tokenizer
