"""From texts to tokens, as a transformer takes them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.checkpoint import LONGEST
from pytest_embedbench.models.protocol import PreparedText


class TextTokenizer:
    """A checkpoint's tokenizer, set to cut texts at so many tokens; for many threads."""

    def __init__(self, tokenizer: Any, max_length: int | None) -> None:
        self._tokenizer = tokenizer
        self._lock = threading.Lock()
        self.notice = self._cap(max_length)

    def _cap(self, wanted: int | None) -> str:
        """Set the length at which texts are cut; says so where that is ours and not the checkpoint's."""
        longest = self.max_length
        if wanted is None and longest is not None and longest <= LONGEST:
            return ""
        self._tokenizer.model_max_length = wanted or LONGEST
        if wanted:
            return ""
        taken = f"{longest:,}" if longest else "any number of"
        return f"texts are cut at {LONGEST:,} tokens, the model takes {taken}; max_seq_length says otherwise"

    @property
    def max_length(self) -> int | None:
        """Tokens at which texts are cut."""
        longest: int | None = self._tokenizer.model_max_length
        return longest

    @property
    def padding_side(self) -> str:
        return str(self._tokenizer.padding_side)

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        """Tokenize in bulk with the prompt in front, cut at the maximal length."""
        # The Rust tokenizer keeps truncation as state: two threads at once raise "Already borrowed".
        with self._lock:
            encoded = self._tokenizer(
                [prompt + text for text in texts],
                truncation=True,
                max_length=self.max_length,
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

    def prompt_length(self, prompt: str) -> int:
        """Tokens that a prompt is at the head of a text, leading special tokens counted in.

        As sentence-transformers counts them (``Transformer._get_prompt_length``): a special token at the end is the
        text's.
        """
        (alone,) = self.prepare([prompt], "")
        return alone.length - bool(alone.payload and alone.payload[-1] in self._tokenizer.all_special_ids)

    def padded(self, batch: Sequence[Sequence[int]]) -> dict[str, Any]:
        """The tokens of a batch, padded on the tokenizer's side as far as they need, and the mask."""
        return dict(self._tokenizer.pad({"input_ids": batch}, return_tensors="pt"))


def tokens(batch: Sequence[PreparedText]) -> list[list[int]]:
    """The tokens of each text.

    Raises:
        ModelError: a text has none, so that there is nothing to pool.
    """
    found = [text.payload for text in batch]
    if not all(found):
        raise ModelError("a text has no token at all: the tokenizer adds none, so that nothing is left to pool")
    return found
