"""Facts read from a checkpoint's files without loading it: where it cuts texts, its prompts, its tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from pytest_embedbench.core.decoding import DecodingError, decode_json
from pytest_embedbench.core.similarity import SIMILARITIES, Similarity
from pytest_embedbench.datasets.types import Role
from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.prompts import declared_prompt
from pytest_embedbench.models.served.token_counts import tokenizer_file
from pytest_embedbench.models.source import settings_folder
from pytest_embedbench.models.spec import NamedModel

if TYPE_CHECKING:
    from tokenizers import Tokenizer

T = TypeVar("T")

DEFAULT_CUT_TOKENS = 8192
"""Tokens; texts are cut at this length if the definition sets no limit and the checkpoint takes more. Attention over
32,768 tokens takes sixteen times the time and memory, for the few texts that are so long."""

TOKENIZER_FILE = "tokenizer.json"

ROUTERS = {"Router", "Asym"}
"""Classes of modules with an encoder for each role."""

MODEL_SETTINGS = "config_sentence_transformers.json"
"""File with a checkpoint's prompts and similarity."""

SINGLE_VECTOR = "SentenceTransformer"
"""sentence-transformers' word, in that file, for models with one vector a text."""

MULTI_VECTOR_SIMILARITIES = {"maxsim", "meanmaxsim"}
"""sentence-transformers' names of similarities between texts that have a vector for each token."""


class _Declared(msgspec.Struct):
    prompts: dict[str, str | None] | None = None


class _Limits(msgspec.Struct):
    """Numbers of tokens, each in a file of its own; some files write whole numbers with a fraction (1e30)."""

    max_seq_length: int | float | None = None
    model_max_length: int | float | None = None
    max_position_embeddings: int | float | None = None


class TokenCounter(NamedTuple):
    """Counts the tokens of texts as a model gets them."""

    model: str
    limit: int | None
    """Tokens at which the model cuts texts; None where it does not."""
    prompts: Mapping[Role, str]
    tokenizer: Tokenizer
    special: bool
    """Whether the model gets special tokens too."""

    def lengths(self, texts: Sequence[str], role: Role) -> list[int]:
        """Return the number of tokens of each text, uncut, with the role's prompt and special tokens."""
        prompt = self.prompts[role]
        # The fast variant computes no offsets, which are not needed here.
        encoded = self.tokenizer.encode_batch_fast([prompt + text for text in texts], add_special_tokens=self.special)
        return [len(encoding.ids) for encoding in encoded]


def checkpoint_token_counter(model: NamedModel) -> TokenCounter:
    """Return a counter of the model's tokens; only its settings and tokenizer are read or downloaded.

    Raises:
        ModelError: the model has no tokenizer, or it cannot be found.
    """
    folder = settings_folder(model)
    # A checkpoint saved by transformers alone has no modules.json; its files lie in the top folder.
    modules = _read(folder / "modules.json", list[dict[str, Any]]) or [{}]
    if str(modules[0].get("type", "")).rpartition(".")[2] in ROUTERS:
        problem = "queries and documents have encoders of their own, so that no one tokenizer counts their tokens"
        raise ModelError(problem, where=f"model {model.alias!r}", fix="count with one of the two models it was made of")
    # Some checkpoints keep the transformer and its tokenizer in a subfolder, others only the transformer.
    inner = folder / str(modules[0].get("path", ""))
    file = next((path for path in (inner / TOKENIZER_FILE, folder / TOKENIZER_FILE) if path.is_file()), None)
    if file is None:
        problem = f"{folder} has no {TOKENIZER_FILE}, so its tokens cannot be counted"
        fix = "save the model again with sentence-transformers 5 or newer, which writes it"
        raise ModelError(problem, where=f"model {model.alias!r}", fix=fix)
    tokenizer = _load(model, file)
    static = str(modules[0].get("type", "")).endswith("StaticEmbedding")
    own = (tokenizer.truncation or {}).get("max_length") if static else _limit(inner)
    prompts = _read(folder / MODEL_SETTINGS, _Declared).prompts or {}
    # Only now: a static model's limit, read above, is the truncation that this removes.
    tokenizer.no_truncation()
    return TokenCounter(
        model=model.alias,
        limit=model.spec.max_seq_length or own,
        prompts={
            role: declared_prompt(prompts, role) if prompt is None else prompt for role, prompt in model.prompts.items()
        },
        tokenizer=tokenizer,
        special=not static,
    )


def served_token_counter(model: NamedModel) -> TokenCounter:
    """Return a counter of the tokens of an endpoint's or a function's model.

    Raises:
        ModelError: the definition names no tokenizer and the model's own is not here, or it cannot be read.
    """
    file = tokenizer_file(model)
    if file is None:
        problem = "its tokenizer is not here, so its tokens cannot be counted"
        fix = f"give tokenizer, a folder or Hub id with {TOKENIZER_FILE}, in its definition"
        raise ModelError(problem, where=f"model {model.alias!r}", fix=fix)
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
        raise ModelError(f"{file} is not a tokenizer: {error}", where=f"model {model.alias!r}") from None
    tokenizer.no_padding()
    return tokenizer


def declared_similarity(folder: Path | None) -> Similarity | None:
    """Return the similarity that a checkpoint declares; None if it declares none, or there is no folder.

    Settings of a folder without modules, or of another kind of model (a cross-encoder), are not those of the vectors.

    One of several vectors a text (``maxsim``) counts as none, as in sentence-transformers: it says nothing about the
    one vector that is used here.

    Raises:
        ModelError: the name is unknown, so that nobody can say how documents are to be ranked.
    """
    settings = _read(folder / MODEL_SETTINGS, dict[str, Any]) if folder and (folder / "modules.json").is_file() else {}
    name = settings.get("similarity_fn_name") if settings.get("model_type", SINGLE_VECTOR) == SINGLE_VECTOR else None
    for similarity in SIMILARITIES:
        if name == similarity:
            return similarity
    if not name or str(name) in MULTI_VECTOR_SIMILARITIES:
        return None
    problem = f"similarity_fn_name {name!r} is none of {', '.join(SIMILARITIES)}"
    fix = 'say how to rank: similarity = "cosine" in the model\'s definition'
    raise ModelError(problem, where=str(folder and folder / MODEL_SETTINGS), fix=fix)


def _limit(folder: Path) -> int:
    """Return the number of tokens at which a transformer cuts texts, at most ``DEFAULT_CUT_TOKENS``.

    The files are looked up in sentence-transformers' order.
    """
    own_limit = _read(folder / "sentence_bert_config.json", _Limits).max_seq_length
    tokenizer_limit = _read(folder / "tokenizer_config.json", _Limits).model_max_length
    positions = _read(folder / "config.json", _Limits).max_position_embeddings
    limits = [own_limit] if own_limit else [tokenizer_limit, positions]
    # Files write "no limit" in two ways: -1 positions (XLNet), and a maximal length of 1e30.
    return min([DEFAULT_CUT_TOKENS, *(int(limit) for limit in limits if limit and limit >= 1)])


def _read(file: Path, kind: type[T]) -> T:
    """Return the file's JSON as ``kind``; an empty one if there is no such file."""
    try:
        return decode_json(file.read_bytes(), kind)
    except FileNotFoundError:
        return kind()
    except (DecodingError, OSError) as error:
        raise ModelError(str(error), where=str(file)) from None
