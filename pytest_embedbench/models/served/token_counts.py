"""How many tokens the texts sent to an endpoint have: by the model's tokenizer, else by what the server counts."""

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
"""Until the server has counted any: OpenAI's rule of thumb for English."""


class Sent(NamedTuple):
    """What goes to the server: prompt and text, and how many of its characters are the prompt's."""

    text: str
    prompt: int


class Counter(Protocol):
    """Counts tokens before a text is sent, and again when the answer is there."""

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]: ...

    def counted(self, batch: Sequence[PreparedText], tokens: int) -> list[PreparedText]:
        """The batch's texts, when the server has counted ``tokens`` in all of them (0: it does not count)."""
        ...


class TokenizerCounter:
    """Counts, and cuts at a maximal length, with a tokenizer; what the server says does not matter."""

    def __init__(self, tokenizer: Any, max_length: int | None) -> None:
        self._tokenizer = tokenizer
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
            if encoding.overflowing:
                sent = sent[: max(ends, default=len(prompt))]
            prepared.append(PreparedText(Sent(sent, len(prompt)), len(encoding.ids), len(ends)))
        return prepared

    def counted(self, batch: Sequence[PreparedText], tokens: int) -> list[PreparedText]:  # noqa: ARG002 - see Counter
        return list(batch)


class UsageCounter:
    """Estimates by characters, at the rate that the server's counts so far show, and takes its count when it is there.

    The server counts a request as a whole. Its texts share that count, and a text and its prompt share the text's, by
    their characters; sums over many texts are exact up to the prompts' part.
    """

    def __init__(self) -> None:
        self._characters, self._tokens = CHARACTERS_PER_TOKEN, 1
        self._seen = False

    def prepare(self, texts: Sequence[str], prompt: str) -> list[PreparedText]:
        rate = self._tokens / self._characters
        prepared = []
        for text in texts:
            sent = Sent(prompt + text, len(prompt))
            prepared.append(_shared(sent, math.ceil(len(sent.text) * rate)))
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
        ends = [round(tokens * end / total) for end in itertools.accumulate(lengths, initial=0)]
        return [
            _shared(text.payload, end - start)
            for text, (start, end) in zip(batch, itertools.pairwise(ends), strict=True)
        ]


def _shared(sent: Sent, tokens: int) -> PreparedText:
    own = len(sent.text) - sent.prompt
    return PreparedText(sent, tokens, round(tokens * own / max(1, len(sent.text))))


def counter(model: NamedModel) -> Counter:
    """The tokenizer that the definition names; else the model's own, if this machine's Hub cache has it; else usage.

    Raises:
        ModelError: the tokenizer that the definition names is not to be had.
    """
    spec = model.spec
    file = tokenizer_file(model)
    if file is None:
        return UsageCounter()
    from tokenizers import Tokenizer

    try:
        return TokenizerCounter(Tokenizer.from_file(str(file)), spec.max_seq_length)
    except Exception as error:  # noqa: BLE001 - the library raises bare Exceptions
        raise ModelError(f"model {model.alias!r}: {file} is no tokenizer: {error}") from None


def tokenizer_file(model: NamedModel) -> Path | None:
    """The ``tokenizer.json`` that an endpoint's definition names; else the model's own, if it was downloaded before.

    Raises:
        ModelError: the tokenizer that the definition names is not to be had.
    """
    return _named(model) if model.spec.tokenizer else _cached(model.spec.model)


def _named(model: NamedModel) -> Path:
    wanted = model.spec.tokenizer
    path = Path(wanted)
    if path.is_dir():
        path /= "tokenizer.json"
    if path.is_file():
        return path
    try:
        folder = snapshot(wanted, kind="model", patterns=["tokenizer.json"]).folder
    except HubError as error:
        without = "leave tokenizer out: then the server's counts are taken"
        raise ModelError(f"model {model.alias!r}: no tokenizer.json: {error}, give a folder, or {without}") from None
    return folder / "tokenizer.json"


def _cached(name: str) -> Path | None:
    """The tokenizer of a Hub model of this name, if it was downloaded before; nothing is downloaded."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, "tokenizer.json")
    except HFValidationError:  # served names need not be Hub ids
        return None
    return Path(found) if isinstance(found, str) else None
