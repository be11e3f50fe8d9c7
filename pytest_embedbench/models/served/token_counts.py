"""Token counts of texts sent to an endpoint: by the model's tokenizer, or by the server's own counts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pytest_embedbench.errors import ModelError
from pytest_embedbench.models.protocol import PreparedText
from pytest_embedbench.remote.hub import HubError, snapshot

if TYPE_CHECKING:
    from pytest_embedbench.models.spec import NamedModel

CHARACTERS_PER_TOKEN = 4
"""Characters; the estimate until a server has counted tokens. OpenAI's rule of thumb for English."""


class SentText(NamedTuple):
    """A text as it is sent to a server, its prompt in front."""

    text: str
    prompt: int
    """Characters of the prompt."""


class RequestTokenCounter(Protocol):
    """Counts tokens before a text is sent, and again when the answer is there."""

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]: ...

    def counted(self, batch: Sequence[PreparedText], tokens: int) -> list[PreparedText]:
        """Return the batch's texts with the counts that follow from the server's.

        Args:
            batch: texts of one request.
            tokens: tokens of the whole request, as the server counted them; 0 if it does not count.
        """
        ...


class TokenizerCounter:
    """Counts tokens, and cuts texts at a maximal length, with a tokenizer; the server's counts are not used."""

    def __init__(self, tokenizer: Any, max_length: int | None) -> None:
        self._tokenizer = tokenizer
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
            prepared.append(PreparedText(SentText(sent, len(prompt)), len(encoding.ids), len(ends)))
        return prepared

    def counted(self, batch: Sequence[PreparedText], tokens: int) -> list[PreparedText]:  # noqa: ARG002 - see RequestTokenCounter
        return list(batch)


class UsageCounter:
    """Estimates tokens from characters, at the rate of the server's counts so far, until the server has counted them.

    The server counts a request as a whole. Its count is divided among the request's texts by their characters, and each
    text's share between text and prompt in the same way. Sums over many texts are exact, except for the prompts' part.
    """

    def __init__(self) -> None:
        self._characters, self._tokens = CHARACTERS_PER_TOKEN, 1
        self._seen = False

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        rate = self._tokens / self._characters
        prepared = []
        for text in texts:
            sent = SentText(prompt + text, len(prompt))
            prepared.append(_divided(sent, math.ceil(len(sent.text) * rate)))
        return prepared

    def counted(self, batch: Sequence[PreparedText], tokens: int) -> list[PreparedText]:
        if not tokens:
            return list(batch)
        lengths = [len(text.payload.text) for text in batch]
        total = max(1, sum(lengths))
        # Answers are read in one thread, so nothing is counted at the same time.
        if not self._seen:
            self._characters = self._tokens = 0
            self._seen = True
        self._characters, self._tokens = self._characters + total, self._tokens + tokens
        # The running sums are rounded, not the shares, so that the shares add up to the server's count.
        ends = [round(tokens * end / total) for end in itertools.accumulate(lengths, initial=0)]
        return [
            _divided(text.payload, end - start)
            for text, (start, end) in zip(batch, itertools.pairwise(ends), strict=True)
        ]


def _divided(sent: SentText, tokens: int) -> PreparedText:
    own = len(sent.text) - sent.prompt
    return PreparedText(sent, tokens, round(tokens * own / max(1, len(sent.text))))


def request_token_counter(model: NamedModel) -> RequestTokenCounter:
    """Return a counter by the tokenizer of ``tokenizer_file``; without one, by the counts that the server reports.

    Raises:
        ModelError: the tokenizer that the definition names cannot be found or read.
    """
    spec = model.spec
    file = tokenizer_file(model)
    if file is None:
        return UsageCounter()
    from tokenizers import Tokenizer

    try:
        return TokenizerCounter(Tokenizer.from_file(str(file)), spec.max_seq_length)
    except Exception as error:  # noqa: BLE001 - the library raises bare Exceptions
        raise ModelError(f"{file} is not a tokenizer: {error}", where=f"model {model.alias!r}") from None


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
