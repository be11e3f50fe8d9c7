"""First modules of checkpoints that sentence-transformers runs: a text transformer, or static vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from sentence_transformers.sentence_transformer.modules import StaticEmbedding, Transformer

from pytest_embedbench.core.bounds import MAX_TEXT_TOKENS
from pytest_embedbench.models.fast.attention import PackedRow
from pytest_embedbench.models.fast.packed import ROW_FEATURE, Packing
from pytest_embedbench.models.local.text_tokenizer import TextTokenizer, token_ids
from pytest_embedbench.models.local.transformers_compat import attention_kernel
from pytest_embedbench.models.protocol import PreparedText


class FirstModule(Protocol):
    """A checkpoint's first module: makes tokens of texts, and the model's inputs of tokens."""

    notice: str
    """Note for the user on the length at which texts are cut; empty where there is nothing to say."""

    @property
    def facts(self) -> dict[str, Any]:
        """Return fields of ``ModelFacts`` that this module determines."""
        ...

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        """Tokenize in bulk with the prompt in front, cut at the maximal length."""
        ...

    def features(self, batch: Sequence[PreparedText]) -> dict[str, Any]:
        """Return the model's inputs for one batch, as tensors on the CPU."""
        ...

    def prompt_length(self, prompt: str) -> int | None:
        """Return the number of leading tokens that pooling may leave out; None if the module leaves none out."""
        ...


def first_module(first: Any, max_length: int | None) -> FirstModule | None:
    """Return a checkpoint's first module; None if it is of a kind unknown here.

    Args:
        first: sentence-transformers' module.
        max_length: tokens at which texts are cut; None for the checkpoint's own limit.
    """
    if isinstance(first, StaticEmbedding):
        return Static(first, max_length)
    if isinstance(first, Transformer) and set(first.modality_config) == {"text"}:
        return TextTransformer(first, max_length)
    return None


class TextTransformer:
    """A text transformer.

    Its batches have no padding once ``pack`` was called; until then they are padded to their longest text, on the side
    that the tokenizer declares.
    """

    packing: Packing | None = None

    def __init__(self, module: Transformer, max_length: int | None) -> None:
        self.module = module
        self._tokenizer = TextTokenizer(module.tokenizer, max_length)
        self.notice = self._tokenizer.notice

    @property
    def facts(self) -> dict[str, Any]:
        config = self.module.config
        return {
            "architecture": str(getattr(config, "model_type", "")),
            "max_tokens": self._tokenizer.max_length,
            "attention": self.packing.attention if self.packing else attention_kernel(config),
            "padding_side": self._tokenizer.padding_side,
        }

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        return self._tokenizer.prepare(texts, prompt)

    def pack(self, packing: Packing) -> None:
        """Take batches without padding from now on."""
        if self.module.model_forward_params is not None:
            # The module passes on to the model only inputs that it knows.
            self.module.model_forward_params |= {ROW_FEATURE}
        self.packing = packing

    def features(self, batch: Sequence[PreparedText]) -> dict[str, Any]:
        ids = token_ids(batch)
        if self.packing:
            inputs = self.packing.inputs(ids)
            return {**inputs, **pooling_inputs(inputs[ROW_FEATURE])}
        return self._tokenizer.padded(ids)

    def prompt_length(self, prompt: str) -> int | None:
        return self._tokenizer.prompt_length(prompt)


def pooling_inputs(row: PackedRow) -> dict[str, torch.Tensor]:
    """Return the inputs by which sentence-transformers' pooling tells texts in one row apart.

    sentence-transformers has these inputs for flash attention on GPUs; they work on CPUs as well.
    """
    lengths = row.bounds.diff()
    return {
        "cu_seq_lens_q": row.bounds,
        "seq_idx": torch.repeat_interleave(torch.arange(len(lengths)), lengths)[None],
    }


class Static:
    """Static vectors, one for each token of the vocabulary (Model2Vec). Batches have no padding.

    A text's vector is the mean of its tokens' vectors.
    """

    notice = ""

    def __init__(self, module: StaticEmbedding, max_length: int | None) -> None:
        self._tokenizer = module.tokenizer
        # The module has no limit of its own, but its tokenizer.json may have one.
        limit = (self._tokenizer.truncation or {}).get("max_length", math.inf)
        self._max_tokens = min(limit, max_length or math.inf)

    @property
    def facts(self) -> dict[str, Any]:
        max_tokens = int(self._max_tokens) if self._max_tokens <= MAX_TEXT_TOKENS else None
        return {"architecture": StaticEmbedding.__name__, "pooling": "mean", "max_tokens": max_tokens}

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        prepared = []
        # Without special tokens, as StaticEmbedding does it: they have no part in the mean.
        for encoding in self._tokenizer.encode_batch([prompt + text for text in texts], add_special_tokens=False):
            length = int(min(len(encoding.ids), self._max_tokens))
            own = sum(end > len(prompt) for _, end in encoding.offsets[:length])
            prepared.append(PreparedText(encoding.ids[:length], length, own))
        return prepared

    def features(self, batch: Sequence[PreparedText]) -> dict[str, Any]:
        """Return all tokens in one row, and the position at which each text begins, for ``torch.nn.EmbeddingBag``."""
        lengths = torch.tensor([0, *(len(text.payload) for text in batch[:-1])])
        ids = torch.tensor([token for text in batch for token in text.payload], dtype=torch.long)
        return {"input_ids": ids, "offsets": lengths.cumsum(0)}

    def prompt_length(self, prompt: str) -> int | None:  # noqa: ARG002 - see FirstModule
        return None
