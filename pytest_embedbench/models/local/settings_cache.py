"""Settings of checkpoints of BERT's kind as transformers reads them, kept for the next time they are loaded.

Importing transformers takes a second, half of it for reading its own 3,000 source files. That is a quarter of the time
until a model on a CPU gets its first text. ``bert.py`` needs nothing of transformers but the settings that are kept
here.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
from tokenizers import Tokenizer

from pytest_embedbench.core.bounded import Amount, Count
from pytest_embedbench.core.files import path_digest
from pytest_embedbench.models.checkpoint import DEFAULT_CUT_TOKENS
from pytest_embedbench.models.sample_texts import SAMPLE_TEXTS
from pytest_embedbench.models.source import SETTINGS_FILES, fingerprint_folder

READER_PACKAGES = "transformers", "tokenizers"
"""Packages whose versions decide how a checkpoint's settings are read."""


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a configuration that ``bert.py`` uses; fields have transformers' names."""

    model_type: str
    hidden_size: Count
    num_attention_heads: Count
    num_hidden_layers: Count
    vocab_size: Count
    max_position_embeddings: Count
    layer_norm_eps: Amount
    pad_token_id: Count | None


class FastTokenizer(msgspec.Struct, frozen=True, kw_only=True):
    """A tokenizer as transformers made it."""

    rust: str
    """The tokenizer inside it, written as JSON by the tokenizers library."""
    max_length: Count
    padding_side: str
    truncation_side: Literal["left", "right"]
    special_ids: list[Count]


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint's settings, read; ``origin`` is the digest of their files, with the packages that read them."""

    origin: str
    sizes: Sizes
    tokenizer: FastTokenizer


class Memory(Protocol):
    """A store of settings that were read; entries may be lost at any time."""

    def ready(self, name: str) -> Ready | None:
        """Return what was kept under this name; None if nothing was."""
        ...

    def keep_ready(self, name: str, ready: Ready) -> None:
        """Keep settings under a name, in place of earlier ones."""
        ...


class ReadyTokenizer:
    """A tokenizer that was kept, with the part of transformers' interface that ``TextTokenizer`` uses."""

    def __init__(self, tokenizer: FastTokenizer) -> None:
        self._rust = Tokenizer.from_str(tokenizer.rust)
        self._rust.no_padding()
        self._side = tokenizer.truncation_side
        self.model_max_length, self.padding_side = tokenizer.max_length, tokenizer.padding_side
        self.all_special_ids = tokenizer.special_ids

    def __call__(
        self, texts: Sequence[str], *, max_length: int, return_offsets_mapping: bool, **_: object
    ) -> dict[str, list[Any]]:
        """Return each text's tokens after truncation, the mask of special tokens and, if requested, offsets."""
        self._rust.enable_truncation(max_length, direction=self._side)
        # The fast variant computes no offsets.
        encode = self._rust.encode_batch if return_offsets_mapping else self._rust.encode_batch_fast
        encodings = encode(list(texts))
        return {
            "input_ids": [encoding.ids for encoding in encodings],
            "special_tokens_mask": [encoding.special_tokens_mask for encoding in encodings],
            "offset_mapping": [encoding.offsets for encoding in encodings] if return_offsets_mapping else [],
        }


def remembered(folder: Path, memory: Memory | None) -> Ready | None:
    """Return what was kept of a checkpoint; None if its files or the packages that read them have changed since."""
    ready = memory.ready(path_digest(folder)) if memory else None
    return ready if ready and ready.origin == _origin(folder) else None


def keep(folder: Path, memory: Memory | None, config: Any, tokenizer: Any) -> None:
    """Keep a checkpoint's configuration and tokenizer, as transformers read them, if they suffice for a later load."""
    if memory and (kept_tokenizer := fast_tokenizer(tokenizer)):
        sizes = msgspec.convert(config, Sizes, from_attributes=True)
        memory.keep_ready(path_digest(folder), Ready(origin=_origin(folder), sizes=sizes, tokenizer=kept_tokenizer))


def fast_tokenizer(tokenizer: Any) -> FastTokenizer | None:
    """Return the Rust tokenizer inside, if it makes the same tokens as transformers' tokenizer; otherwise None."""
    # The JSON does not hold split_special_tokens; a limit of 1e30, for none, is too large an integer to store.
    if not tokenizer.is_fast or tokenizer.split_special_tokens or tokenizer.model_max_length > DEFAULT_CUT_TOKENS:
        return None
    candidate = FastTokenizer(
        rust=tokenizer.backend_tokenizer.to_str(),
        max_length=tokenizer.model_max_length,
        padding_side=tokenizer.padding_side,
        truncation_side=tokenizer.truncation_side,
        special_ids=list(tokenizer.all_special_ids),
    )
    # transformers' class may do more than hand texts to the tokenizer inside it, so both are compared.
    options = {"max_length": candidate.max_length, "return_offsets_mapping": True, "return_special_tokens_mask": True}
    theirs = tokenizer(list(SAMPLE_TEXTS), truncation=True, padding=False, **options)
    ours = ReadyTokenizer(candidate)(SAMPLE_TEXTS, **options)  # type: ignore[arg-type]  # the keys say the types
    return candidate if all(ours[key] == theirs[key] for key in ours) else None


def _origin(folder: Path) -> str:
    versions = (f"{package} {version(package)}" for package in READER_PACKAGES)
    return " ".join([fingerprint_folder(folder, SETTINGS_FILES), *versions])
