"""Read a server's answers, and keep the API key out of every result and error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from pytest_embedbench.core.decoding import DecodingError, decode_json
from pytest_embedbench.remote.errors import AnswerError
from pytest_embedbench.remote.secret import Secret

T = TypeVar("T")

MAX_MESSAGE_LENGTH = 300
"""Characters; an error quotes at most this much of a server's message."""


class HttpAnswer:
    """Status, headers (names in lower case) and body of an answer.

    Its ``repr`` shows the status only: a server may echo the API key in the rest.
    """

    __slots__ = ("content", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.status, self.headers, self.content = status, headers, content

    def __repr__(self) -> str:
        return f"HttpAnswer({self.status})"


class TokenUsage(msgspec.Struct, frozen=True):
    """Tokens that a server has counted for a request, in OpenAI's ``usage`` object; None where it did not count."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


def server_message(answer: HttpAnswer, key: Secret) -> str:
    """Return the message of an answer with an error status, in one line of limited length.

    The key is removed before the line is cut, so that no part of the key remains at the cut.
    """
    text = answer.content.decode(errors="replace")
    try:
        body: Any = decode_json(answer.content, object)
        error = body.get("error", body)
        text = str(error.get("message", error) if isinstance(error, dict) else error)
    except (DecodingError, AttributeError):
        pass
    line = " ".join(key.redacted(text).split())
    return line if len(line) <= MAX_MESSAGE_LENGTH else line[:MAX_MESSAGE_LENGTH] + " [...]"


def decode_answer(url: str, answer: HttpAnswer, kind: type[T], key: Secret) -> T:
    """Decode the JSON of an answer as ``kind``.

    Raises:
        AnswerError: the body is not JSON, or of another shape.
    """
    url = key.redacted(url)  # a redirect may have put the key there
    # Masked before anything is cut off, lest part of the key remains.
    media_type = key.redacted(answer.headers.get("content-type", "")).partition(";")[0].strip().casefold()
    # Checked first: of a proxy's HTML page, the message should show the text, not where JSON decoding failed.
    if media_type != "application/json" and not media_type.endswith("+json"):
        problem = f"the answer is {media_type or 'of no type'!r}, not JSON: {server_message(answer, key)}"
        raise AnswerError(problem, where=url, status=answer.status)
    try:
        # Redacted before it is decoded, so that no field of the result can hold the key.
        return decode_json(key.redacted(answer.content.decode()), kind)
    except (DecodingError, UnicodeError) as error:
        problem = f"the answer cannot be read ({error}): {server_message(answer, key)}"
        raise AnswerError(key.redacted(problem), where=url, status=answer.status) from None
