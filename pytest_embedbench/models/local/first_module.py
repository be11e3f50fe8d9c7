"""The first module of a checkpoint that sentence-transformers runs; it tokenizes: a transformer, or static vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from sentence_transformers.sentence_transformer.modules import StaticEmbedding, Transformer

from pytest_embedbench.models.fast.attention import Row
from pytest_embedbench.models.fast.packed import ROW, Packing
from pytest_embedbench.models.local.text_tokenizer import TextTokenizer, tokens
from pytest_embedbench.models.protocol import PreparedText

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class FirstModule(Protocol):
    """What tokens are to a checkpoint."""

    notice: str
    """What its user should know of the length at which texts are cut."""

    @property
    def facts(self) -> dict[str, Any]:
        """Its share of ``ModelFacts``."""
        ...

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        """Tokenize in bulk with the prompt in front, cut at the maximal length."""
        ...

    def features(self, batch: Sequence[PreparedText]) -> dict[str, Any]:
        """Tensors of one batch, on the CPU."""
        ...

    def prompt_length(self, prompt: str) -> int | None:
        """Tokens that pooling leaves out where the checkpoint asks for that; None where it cannot."""
        ...


def first_module(model: SentenceTransformer, max_length: int | None) -> FirstModule | None:
    """The checkpoint's first module, set to cut texts at so many tokens; None where it is of no kind known here."""
    first = model[0]
    if isinstance(first, StaticEmbedding):
        return Static(first, max_length)
    if isinstance(first, Transformer) and set(first.modality_config) == {"text"}:
        return TextTransformer(first, max_length)
    return None


class TextTransformer:
    """A text transformer.

    Its batches are without padding where it can take them so (``packing``), else padded on the side that its tokenizer
    declares, only as far as they need.
    """

    packing: Packing | None = None

    def __init__(self, module: Transformer, max_length: int | None) -> None:
        self.module = module
        self._tokenizer = TextTokenizer(module.tokenizer, max_length)
        self.notice = self._tokenizer.notice

    @property
    def facts(self) -> dict[str, Any]:
        config = self.module.config
        own = str(getattr(config, "_attn_implementation", None) or "")
        return {
            "architecture": str(getattr(config, "model_type", "")),
            "max_tokens": self._tokenizer.max_length,
            "attention": self.packing.attention if self.packing else own,
            "padding_side": self._tokenizer.padding_side,
        }

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        return self._tokenizer.prepare(texts, prompt)

    def pack(self, packing: Packing) -> None:
        """Take batches without padding from now on."""
        if self.module.model_forward_params is not None:
            self.module.model_forward_params |= {ROW}
        self.packing = packing

    def features(self, batch: Sequence[PreparedText]) -> dict[str, Any]:
        row = tokens(batch)
        if self.packing:
            inputs = self.packing.inputs(row)
            return {**inputs, **flattened(inputs[ROW])}
        return self._tokenizer.padded(row)

    def prompt_length(self, prompt: str) -> int | None:
        return self._tokenizer.prompt_length(prompt)


def flattened(row: Row) -> dict[str, torch.Tensor]:
    """What sentence-transformers' pooling takes to tell texts in one row apart; made for flash attention on GPUs."""
    lengths = row.bounds.diff()
    return {
        "cu_seq_lens_q": row.bounds,
        "seq_idx": torch.repeat_interleave(torch.arange(len(lengths)), lengths)[None],
    }


class Static:
    """A vector for each token of the vocabulary, whose mean is the text's (Model2Vec); no attention, so no padding."""

    notice = ""

    def __init__(self, module: StaticEmbedding, max_length: int | None) -> None:
        self._tokenizer = module.tokenizer
        # A tokenizer.json may say itself where texts are cut; the module does not.
        own = (self._tokenizer.truncation or {}).get("max_length", math.inf)
        self._longest = min(own, max_length or math.inf)

    @property
    def facts(self) -> dict[str, Any]:
        longest = int(self._longest) if self._longest < math.inf else None
        return {"architecture": StaticEmbedding.__name__, "pooling": "mean", "max_tokens": longest}

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        prepared = []
        for encoding in self._tokenizer.encode_batch([prompt + text for text in texts], add_special_tokens=False):
            length = int(min(len(encoding.ids), self._longest))
            own = sum(end > len(prompt) for _, end in encoding.offsets[:length])
            prepared.append(PreparedText(encoding.ids[:length], length, own))
        return prepared

    def features(self, batch: Sequence[PreparedText]) -> dict[str, Any]:
        """All tokens in a row, and where each text's begin, as ``torch.nn.EmbeddingBag`` takes them."""
        lengths = torch.tensor([0, *(len(text.payload) for text in batch[:-1])])
        ids = torch.tensor([token for text in batch for token in text.payload], dtype=torch.long)
        return {"input_ids": ids, "offsets": lengths.cumsum(0)}

    def prompt_length(self, prompt: str) -> int | None:  # noqa: ARG002 - see FirstModule
        return None
