"""Qwen3-Embedding served wrongly, one way each: what a conformance probe or a quality check has to find."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Tokenizer, processors

from pytest_embedbench.datasets.types import Role
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
from pytest_embedbench.models.protocol import PreparedText
from tests.support.qwen3_checkpoint import PROMPT, pool, prompt

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Vectors


PAD = 151643
"""``<|endoftext|>``, with which Qwen3-Embedding pads and ends texts."""


class RightPadded(SentenceTransformerModel):
    """Pads on the right, attends to that, and pools the last place of the batch: padding of all texts but the longest.

    It says of itself what the right model says, as a server would.
    """

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        longest = max(text.length for text in batch)
        padded = [text._replace(payload=[*text.payload, *[PAD] * (longest - text.length)]) for text in batch]
        return super().forward(padded, role)


def mean_pooled(folder: Path, to: Path) -> Path:
    """The mean of all tokens' outputs, as where 1_Pooling/config.json is lost and a library takes its default."""
    shutil.copytree(folder, to)
    pool(to, "mean_tokens")
    return to


def without_end(folder: Path, to: Path) -> Path:
    """No end token is put after a text: the tokenizer was saved without its post-processor, and the last word pooled."""
    shutil.copytree(folder, to)
    tokenizer = Tokenizer.from_file(str(to / "tokenizer.json"))
    # It cannot be set to None; this one adds nothing.
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, use_regex=False, trim_offsets=False)
    tokenizer.save(str(to / "tokenizer.json"), pretty=False)
    return to


def without_prompt(folder: Path, to: Path) -> Path:
    """Queries are encoded bare, as documents are."""
    shutil.copytree(folder, to)
    prompt(to, "")
    return to


def with_space(folder: Path, to: Path) -> Path:
    """A space stands between ``Query:`` and the query, so that its first word is another token."""
    shutil.copytree(folder, to)
    prompt(to, f"{PROMPT} ")
    return to
