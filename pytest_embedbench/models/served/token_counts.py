"""Token counts of texts sent to an endpoint: by the model's tokenizer, or by the server's own counts."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import PreparedText, TokenSource
from pytest_embedbench.remote.hub import HubError, snapshot
from pytest_embedbench.remote.usage import ServerCount

if TYPE_CHECKING:
    from pytest_embedbench.models.spec import NamedModel

CHARACTERS_PER_TOKEN = 4
"""Characters; the estimate until a server has counted tokens. OpenAI's rule of thumb for English."""

SPECIAL_TOKENS = 16
"""Tokens that a model may add to a text, at most. A tokenizer makes no more tokens of a text than it has bytes, so a
server that counts more than both together does not count this text's tokens."""


MIN_QUARTERS = 10
"""Requests of different lengths in a row whose count is a quarter of their characters, after which the count is taken
for an estimate: so many are no coincidence."""


CUTTING_LIBRARIES = ("tokenizers",)
"""Libraries that decide where a text is cut before it is sent."""


class SentText(NamedTuple):
    """A text as it is sent to a server, its prompt in front."""

    text: str
    prompt: int
    """Characters of the prompt."""


class RequestTokenCounter(Protocol):
    """Counts tokens before a text is sent, and again when the answer is there."""

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]: ...

    def counted(self, batch: Sequence[PreparedText], count: ServerCount) -> list[PreparedText]:
        """Return the batch's texts, which are those of one request, with the counts that follow from the server's."""
        ...


class TokenizerCounter:
    """Counts tokens, and cuts texts at a maximal length, with a tokenizer; the server's counts are not used.

    Args:
        tokenizer: the model's.
        max_length: tokens at which texts are cut before they are sent; None to send them whole.
        limit: tokens that the model processes of a text, at most; of a longer text, no more are counted.
    """

    def __init__(self, tokenizer: Any, max_length: int | None, limit: int | None = None) -> None:
        self._tokenizer, self._limit = tokenizer, limit
        # tokenizer.json may declare padding and truncation, which say nothing of the server's.
        tokenizer.no_padding()
        tokenizer.no_truncation()
        if max_length:
            tokenizer.enable_truncation(max_length)

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        prepared = []
        for text, encoding in zip(texts, self._tokenizer.encode_batch([prompt + text for text in texts]), strict=True):
            ends = [
                end
                for (_, end), special in zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
                if not special and end > len(prompt)
            ]
            sent = prompt + text
            # Cut here, at the last token that is counted: servers cut elsewhere, or refuse a text that is too long.
            if encoding.overflowing:
                sent = sent[: max(ends, default=len(prompt))]
            beyond = max(0, len(encoding.ids) - self._limit) if self._limit else 0
            length, own = len(encoding.ids) - beyond, max(0, len(ends) - beyond)
            prepared.append(PreparedText(SentText(sent, len(prompt)), length, own))
        return prepared

    def counted(self, batch: Sequence[PreparedText], count: ServerCount) -> list[PreparedText]:  # noqa: ARG002 - see RequestTokenCounter
        return list(batch)


class UsageCounter:
    """Estimates tokens from characters, at the rate of the server's counts so far, until the server has counted them.

    The server counts a request as a whole. Its count is divided among the request's texts by their characters, and each
    text's share between text and prompt in the same way. Sums over many texts are exact, except for the prompts' part.

    An estimate, the server's or our own, counts no more than ``limit`` tokens of a text: the model processes no more. A
    server whose counts are all a quarter of the characters estimates too, even if it does not say so.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._characters, self._tokens = CHARACTERS_PER_TOKEN, 1
        self._seen = False
        self._quarters = set[int]()
        """Lengths of the requests in a row whose count is a quarter of their characters."""

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        rate = self._tokens / self._characters
        prepared = []
        for text in texts:
            sent = SentText(prompt + text, len(prompt))
            prepared.append(self._divided(sent, math.ceil(len(sent.text) * rate), "estimate"))
        return prepared

    def counted(self, batch: Sequence[PreparedText], count: ServerCount) -> list[PreparedText]:
        most = sum(len(text.payload.text.encode("utf-8", "surrogatepass")) + SPECIAL_TOKENS for text in batch)
        # A text has one token at least: a server that says less, or more than there can be, counts something else.
        if not len(batch) <= count.tokens <= most:
            return list(batch)
        tokens = count.tokens
        lengths = [len(text.payload.text) for text in batch]
        total = max(1, sum(lengths))
        self._quarters = self._quarters | {total} if tokens in _quarter(lengths) else set()
        estimated = count.estimated or len(self._quarters) >= MIN_QUARTERS
        # Answers are read in one thread, so nothing is counted at the same time.
        if not self._seen:
            self._characters = self._tokens = 0
            self._seen = True
        self._characters, self._tokens = self._characters + total, self._tokens + tokens
        # The running sums are rounded, not the shares, so that the shares add up to the server's count.
        ends = [round(tokens * end / total) for end in itertools.accumulate(lengths, initial=0)]
        return [
            self._divided(text.payload, end - start, "estimate" if estimated else "usage")
            for text, (start, end) in zip(batch, itertools.pairwise(ends), strict=True)
        ]

    def _divided(self, sent: SentText, tokens: int, source: TokenSource) -> PreparedText:
        if source == "estimate" and self._limit:
            tokens = min(tokens, self._limit)
        own = len(sent.text) - sent.prompt
        return PreparedText(sent, tokens, round(tokens * own / max(1, len(sent.text))), source)


def _quarter(lengths: Sequence[int]) -> set[int]:
    """Return a quarter of a request's characters, in the ways in which servers round it."""
    total, per = sum(lengths), CHARACTERS_PER_TOKEN
    whole = {total // per, math.ceil(total / per)}
    return whole | {sum(length // per for length in lengths), sum(math.ceil(length / per) for length in lengths)}


def request_token_counter(model: NamedModel) -> RequestTokenCounter:
    """Return a counter by the tokenizer of ``tokenizer_file``; without one, by the counts that the server reports.

    Raises:
        ModelError: the tokenizer that the definition names cannot be found or read.
    """
    spec = model.spec
    file = tokenizer_file(model)
    limit = spec.max_seq_length or spec.max_tokens
    if file is None:
        return UsageCounter(limit)
    from tokenizers import Tokenizer

    try:
        return TokenizerCounter(Tokenizer.from_file(str(file)), spec.max_seq_length, limit)
    except Exception as error:  # noqa: BLE001 - the library raises bare Exceptions
        raise ModelError(f"{file} is not a tokenizer: {error}", where=f"model {model.alias!r}") from None


def counts_tokens(model: NamedModel) -> bool:
    """Whether the model's own tokenizer counts its tokens; if not, they are a server's count, or an estimate.

    Nothing is downloaded: a tokenizer that the definition names is taken to be there.
    """
    spec = model.spec
    if spec.kind == "endpoint":
        return bool(spec.tokenizer) or _cached(spec.model) is not None
    return spec.kind != "callable" or bool(spec.tokenizer)


def cutting_tokenizer(model: NamedModel) -> str:
    """Return the sha256 of the tokenizer by which texts are cut before they are sent; empty where none are cut.

    Raises:
        ModelError: the tokenizer cannot be found.
    """
    if not model.spec.max_seq_length:
        return ""  # then a tokenizer counts, and decides no vector
    file = tokenizer_file(model)
    return hashlib.sha256(file.read_bytes()).hexdigest() if file else ""


def tokenizer_file(model: NamedModel) -> Path | None:
    """Return the ``tokenizer.json`` that an endpoint's definition names.

    If it names none, return the model's own if this machine's Hub cache has it; otherwise None.

    Raises:
        ModelError: the tokenizer that the definition names cannot be found.
    """
    return _named(model) if model.spec.tokenizer else _cached(model.spec.model)


def _named(model: NamedModel) -> Path:
    name = model.spec.tokenizer
    path = Path(name)
    if path.is_dir():
        path /= "tokenizer.json"
    if path.is_file():
        return path
    try:
        folder = snapshot(name, kind="model", patterns=["tokenizer.json"]).folder
    except HubError as error:
        problem = (
            f"no tokenizer.json: {error}, give a folder, or leave tokenizer out: then the server's counts are taken"
        )
        raise ModelError(problem, where=f"model {model.alias!r}") from None
    return folder / "tokenizer.json"


def _cached(name: str) -> Path | None:
    """Return the tokenizer of a Hub model of this name if it was downloaded before; nothing is downloaded."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        path = try_to_load_from_cache(name, "tokenizer.json")
    except HFValidationError:  # served names need not be Hub ids
        return None
    # A marker object, not a path, where the Hub is known to have no such file.
    return Path(path) if isinstance(path, str) else None
