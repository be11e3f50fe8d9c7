"""What a checkpoint's files say of it, without loading it: where it cuts texts, its prompts, its tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pytest_embedbench.datasets.types import Role
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.served.token_counts import tokenizer_file
from pytest_embedbench.models.source import settings_folder
from pytest_embedbench.models.spec import NamedModel

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LONGEST = 8192
"""Tokens at which texts are cut where the definition does not say and the checkpoint takes more: attention over 32,768
tokens takes sixteen times the time and memory, for the few texts that are so long."""

TOKENIZER = "tokenizer.json"

PROMPT_NAMES: dict[Role, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""Names under which checkpoints declare their prompts, as sentence-transformers' own encode_query looks them up."""


class TokenCounter(NamedTuple):
    """Counts the tokens of texts as a model gets them; ``limit`` is where it cuts them, None where it does not."""

    model: str
    limit: int | None
    prompts: Mapping[Role, str]
    tokenizer: Tokenizer
    special: bool
    """Does the model get special tokens too?"""

    def lengths(self, texts: Sequence[str], role: Role) -> list[int]:
        """Tokens of each text, uncut, with the role's prompt and special tokens."""
        prompt = self.prompts[role]
        encoded = self.tokenizer.encode_batch_fast([prompt + text for text in texts], add_special_tokens=self.special)
        return [len(encoding.ids) for encoding in encoded]


def token_counter(model: NamedModel) -> TokenCounter:
    """A counter of the model's tokens; nothing of the model but its settings and tokenizer is read or fetched.

    Raises:
        ModelError: the model has no tokenizer, or it is not to be had.
    """
    if model.spec.kind in {"endpoint", "callable"}:
        return _of_endpoint(model)
    if model.spec.kind != "sentence-transformers":
        raise ModelError(f"model {model.alias!r} has no tokenizer whose tokens could be counted")
    folder = settings_folder(model)
    modules = _read(folder / "modules.json") or [{}]
    inner = folder / str(modules[0].get("path", ""))
    file = next((path for path in (inner / TOKENIZER, folder / TOKENIZER) if path.is_file()), None)
    if file is None:
        problem = f"model {model.alias!r}: {folder} has no {TOKENIZER}, so its tokens cannot be counted"
        raise ModelError(
            f"{problem}\n  fix: save the model again with sentence-transformers 5 or newer, which writes it"
        )
    tokenizer = _load(model, file)
    static = str(modules[0].get("type", "")).endswith("StaticEmbedding")
    own = (tokenizer.truncation or {}).get("max_length") if static else _limit(inner)
    prompts = _read(folder / "config_sentence_transformers.json").get("prompts") or {}
    tokenizer.no_truncation()
    return TokenCounter(
        model=model.alias,
        limit=model.spec.max_seq_length or own,
        prompts={
            role: declared_prompt(prompts, role) if told is None else told for role, told in model.prompts.items()
        },
        tokenizer=tokenizer,
        special=not static,
    )


def _of_endpoint(model: NamedModel) -> TokenCounter:
    file = tokenizer_file(model)
    if file is None:
        problem = f"model {model.alias!r}: its tokenizer is not here, so its tokens cannot be counted"
        raise ModelError(f"{problem}\n  fix: give tokenizer, a folder or Hub id with {TOKENIZER}, in its definition")
    tokenizer = _load(model, file)
    tokenizer.no_truncation()
    limit = model.spec.max_seq_length or model.spec.max_tokens
    prompts = {role: prompt or "" for role, prompt in model.prompts.items()}
    return TokenCounter(model.alias, limit, prompts, tokenizer, special=True)


def _load(model: NamedModel, file: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001 - the library raises bare Exceptions
        raise ModelError(f"model {model.alias!r}: {file} is no tokenizer: {error}") from None
    tokenizer.no_padding()
    return tokenizer


def declared_prompt(prompts: Mapping[str, str | None], role: Role) -> str:
    """The prompt that a checkpoint declares for a role; empty where it declares none."""
    return next((found for name in PROMPT_NAMES[role] if (found := prompts.get(name))), "")


def _limit(folder: Path) -> int:
    """Where a transformer cuts, as sentence-transformers' Transformer module finds it, but at most ``LONGEST``."""
    said = _read(folder / "sentence_bert_config.json").get("max_seq_length")
    taken = _read(folder / "tokenizer_config.json").get("model_max_length")
    positions = _read(folder / "config.json").get("max_position_embeddings")
    numbers = [said] if said else [taken, positions]
    return min([LONGEST, *(int(number) for number in numbers if number and number > 0)])


def _read(file: Path) -> Any:
    """The file's JSON; empty where there is no such file."""
    try:
        return msgspec.json.decode(file.read_bytes())
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError as error:
        raise ModelError(f"{file}: {error}") from None
