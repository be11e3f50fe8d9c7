"""What transformers makes of the settings of a checkpoint of BERT's kind, kept for the next time it is loaded.

Importing transformers takes a second, a quarter of the time until a model on a CPU gets its first text: half of it goes
into reading its own 3,000 source files. ``bert.py`` needs nothing more of it than what is kept here.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
from tokenizers import Tokenizer

from pytest_embedbench.core.files import path_digest
from pytest_embedbench.models.checkpoint import LONGEST
from pytest_embedbench.models.sample_texts import PROBE
from pytest_embedbench.models.source import SETTINGS, fingerprint_folder

READERS = "transformers", "tokenizers"
"""Packages that decide what is made of a checkpoint's settings."""


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """What ``bert.py`` asks of a configuration; fields have transformers' names."""

    model_type: str
    hidden_size: int
    num_attention_heads: int
    num_hidden_layers: int
    vocab_size: int
    max_position_embeddings: int
    layer_norm_eps: float
    pad_token_id: int | None


class FastTokenizer(msgspec.Struct, frozen=True, kw_only=True):
    """A tokenizer as transformers made it."""

    rust: str
    """The tokenizer inside it, written as JSON by the tokenizers library."""
    max_length: int
    padding_side: str
    truncation_side: Literal["left", "right"]
    special_ids: list[int]


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint's settings, read; ``origin`` is the digest of the files that they come from, and who read them."""

    origin: str
    sizes: Sizes
    tokenizer: FastTokenizer


class Memory(Protocol):
    """Keeps what was read, until it is lost."""

    def ready(self, name: str) -> Ready | None:
        """What was kept under this name."""
        ...

    def keep_ready(self, name: str, ready: Ready) -> None:
        """Keep it, in place of what was kept under this name."""
        ...


class ReadyTokenizer:
    """A tokenizer that was kept, with as much of the face of transformers' tokenizers as ``TextTokenizer`` looks at."""

    def __init__(self, made: FastTokenizer) -> None:
        self._rust = Tokenizer.from_str(made.rust)
        self._rust.no_padding()
        self._side = made.truncation_side
        self.model_max_length, self.padding_side = made.max_length, made.padding_side
        self.all_special_ids = made.special_ids

    def __call__(
        self, texts: Sequence[str], *, max_length: int, return_offsets_mapping: bool, **_: object
    ) -> dict[str, list[Any]]:
        """Tokens of each text, cut; special tokens are marked, and places in the text told where they are wanted."""
        self._rust.enable_truncation(max_length, direction=self._side)
        encode = self._rust.encode_batch if return_offsets_mapping else self._rust.encode_batch_fast
        encodings = encode(list(texts))
        return {
            "input_ids": [encoding.ids for encoding in encodings],
            "special_tokens_mask": [encoding.special_tokens_mask for encoding in encodings],
            "offset_mapping": [encoding.offsets for encoding in encodings] if return_offsets_mapping else [],
        }


def remembered(folder: Path, memory: Memory | None) -> Ready | None:
    """What was kept of a checkpoint, unless its files or the packages that read them have changed since."""
    ready = memory.ready(path_digest(folder)) if memory else None
    return ready if ready and ready.origin == _origin(folder) else None


def keep(folder: Path, memory: Memory | None, config: Any, tokenizer: Any) -> None:
    """Keep the configuration and the tokenizer that transformers made of a checkpoint, if they will do as well then."""
    if memory and (made := fast(tokenizer)):
        sizes = msgspec.convert(config, Sizes, from_attributes=True)
        memory.keep_ready(path_digest(folder), Ready(origin=_origin(folder), sizes=sizes, tokenizer=made))


def fast(tokenizer: Any) -> FastTokenizer | None:
    """What makes the same tokens as transformers' tokenizer does; None where nothing does."""
    if not tokenizer.is_fast or tokenizer.split_special_tokens or tokenizer.model_max_length > LONGEST:
        return None
    made = FastTokenizer(
        rust=tokenizer.backend_tokenizer.to_str(),
        max_length=tokenizer.model_max_length,
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        special_ids=list(tokenizer.all_special_ids),
    )
    # A class of transformers' may do more with texts than hand them to the tokenizer inside it.
    how = {"max_length": made.max_length, "return_offsets_mapping": True, "return_special_tokens_mask": True}
    theirs = tokenizer(list(PROBE), truncation=True, padding=False, **how)
    ours = ReadyTokenizer(made)(PROBE, **how)  # type: ignore[arg-type]  # what the dict has is told by its names
    return made if all(ours[key] == theirs[key] for key in ours) else None


def _origin(folder: Path) -> str:
    return " ".join([fingerprint_folder(folder, SETTINGS), *(f"{package} {version(package)}" for package in READERS)])
