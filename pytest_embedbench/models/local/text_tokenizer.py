"""Tokenizing of texts for transformers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.checkpoint import DEFAULT_CUT_TOKENS
from pytest_embedbench.models.protocol import PreparedText


class TextTokenizer:
    """A checkpoint's tokenizer, set to cut texts at a number of tokens; many threads may use it."""

    def __init__(self, tokenizer: Any, max_length: int | None) -> None:
        self._tokenizer = tokenizer
        self._lock = threading.Lock()
        self._counted: dict[str, int] = {}
        self.notice = self._set_max_length(max_length)

    def _set_max_length(self, max_length: int | None) -> str:
        """Set the length at which texts are cut; return a note where it is neither the user's nor the checkpoint's."""
        limit = self.max_length
        if max_length is None and limit is not None and limit <= DEFAULT_CUT_TOKENS:
            return ""
        self._tokenizer.model_max_length = max_length or DEFAULT_CUT_TOKENS
        if max_length:
            return ""
        allowed = f"{limit:,}" if limit else "any number of"
        cut = f"texts are cut at {DEFAULT_CUT_TOKENS:,} tokens, the model takes {allowed}"
        return f"{cut}; max_seq_length sets another limit"

    @property
    def max_length(self) -> int | None:
        """Tokens at which texts are cut."""
        limit: int | None = self._tokenizer.model_max_length
        return limit

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
                return_offsets_mapping=bool(prompt) and self._has_offsets,
            )
        prepared = []
        for index, ids in enumerate(encoded["input_ids"]):
            own = len(ids) - sum(encoded["special_tokens_mask"][index])
            # A token that spans the prompt's end counts as the text's own.
            if prompt and self._has_offsets:
                own = sum(end > len(prompt) for _, end in encoded["offset_mapping"][index])
            elif prompt:
                own = max(0, own - self._prompt_tokens(prompt))
            prepared.append(PreparedText(ids, len(ids), own))
        return prepared

    @property
    def _has_offsets(self) -> bool:
        """Whether the tokenizer tells which characters a token is from; those written in Python do not."""
        return bool(getattr(self._tokenizer, "is_fast", True))

    def _prompt_tokens(self, prompt: str) -> int:
        """Return the number of a prompt's tokens, without special ones; at its end a token may join prompt and text."""
        if prompt not in self._counted:
            with self._lock:
                self._counted[prompt] = len(self._tokenizer(prompt, add_special_tokens=False)["input_ids"])
        return self._counted[prompt]

    def prompt_length(self, prompt: str) -> int:
        """Return the number of tokens of a prompt at the head of a text, leading special tokens counted in.

        They are counted as in sentence-transformers (``Transformer._get_prompt_length``): a special token at the end
        belongs to the text.
        """
        (prepared,) = self.prepare([prompt], "")
        return prepared.length - bool(prepared.payload and prepared.payload[-1] in self._tokenizer.all_special_ids)

    def padded(self, batch: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Return a batch's tokens, padded to the longest text on the tokenizer's side, and their mask."""
        return dict(self._tokenizer.pad({"input_ids": batch}, return_tensors="pt"))


def token_ids(batch: Sequence[PreparedText]) -> list[list[int]]:
    """Return the token numbers of each text.

    Raises:
        ModelError: a text has none, so there is nothing to pool.
    """
    ids = [text.payload for text in batch]
    if not all(ids):
        raise ModelError("a text has no token at all: the tokenizer adds none, so that nothing is left to pool")
    return ids
