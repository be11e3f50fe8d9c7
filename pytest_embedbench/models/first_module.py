"""The first module of a sentence-transformers checkpoint, which tokenizes: a transformer, or static vectors."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from sentence_transformers.sentence_transformer.modules import StaticEmbedding, Transformer

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.checkpoint import LONGEST
from pytest_embedbench.models.packed import REPLACED, Packing
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
        self._tokenizer: Any = module.tokenizer
        self._tokenizer_lock = threading.Lock()
        self.notice = self._cap(max_length)

    def _cap(self, wanted: int | None) -> str:
        """Set the length at which texts are cut; says so where that is ours and not the checkpoint's."""
        longest = self.module.max_seq_length
        if wanted is None and longest is not None and longest <= LONGEST:
            return ""
        self.module.max_seq_length = wanted or LONGEST
        if wanted:
            return ""
        taken = f"{longest:,}" if longest else "any number of"
        return f"texts are cut at {LONGEST:,} tokens, the model takes {taken}; max_seq_length says otherwise"

    @property
    def facts(self) -> dict[str, Any]:
        config = self.module.config
        kernel = f"{REPLACED}, packed" if self.packing else getattr(config, "_attn_implementation", None)
        return {
            "architecture": str(getattr(config, "model_type", "")),
            "max_tokens": self.module.max_seq_length,
            "attention": str(kernel or ""),
            "padding_side": str(self._tokenizer.padding_side),
        }

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        # The Rust tokenizer keeps truncation as state: two threads at once raise "Already borrowed".
        with self._tokenizer_lock:
            encoded = self._tokenizer(
                [prompt + text for text in texts],
                truncation=True,
                max_length=self.module.max_seq_length,
                padding=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                return_special_tokens_mask=True,
                return_offsets_mapping=bool(prompt),
            )
        prepared = []
        for index, ids in enumerate(encoded["input_ids"]):
            own = len(ids) - sum(encoded["special_tokens_mask"][index])
            if prompt:
                own = sum(end > len(prompt) for _, end in encoded["offset_mapping"][index])
            prepared.append(PreparedText(ids, len(ids), own))
        return prepared

    def features(self, batch: Sequence[PreparedText]) -> dict[str, Any]:
        tokens = [text.payload for text in batch]
        if not all(tokens):
            raise ModelError("a text has no token at all: the tokenizer adds none, so that nothing is left to pool")
        if self.packing:
            return self.packing.features(tokens)
        return dict(self._tokenizer.pad({"input_ids": tokens}, return_tensors="pt"))

    def prompt_length(self, prompt: str) -> int | None:
        return self.module._get_prompt_length(prompt)  # noqa: SLF001 - there is no public way to ask


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
