"""What a server's answer says, with the key in nothing that comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from pytest_embedbench.remote.errors import AnswerError
from pytest_embedbench.remote.secret import Secret

T = TypeVar("T")

LONGEST_MESSAGE = 300
"""Characters of a server's message that an error quotes."""


class HttpAnswer:
    """Status, headers (names in lower case) and body. Its ``repr`` shows neither, for a server may echo the key."""

    __slots__ = ("content", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.status, self.headers, self.content = status, headers, content

    def __repr__(self) -> str:
        return f"HttpAnswer({self.status})"


def server_message(answer: HttpAnswer, key: Secret) -> str:
    """What the server says of an error, in one line; redacted before it is cut, so that no part of a key stays."""
    text = answer.content.decode(errors="replace")
    try:
        said = msgspec.json.decode(answer.content)
        error = said.get("error", said)
        text = str(error.get("message", error) if isinstance(error, dict) else error)
    except (msgspec.DecodeError, UnicodeError, AttributeError):
        pass
    line = " ".join(key.redacted(text).split())
    return line if len(line) <= LONGEST_MESSAGE else line[:LONGEST_MESSAGE] + " [...]"


def decoded(url: str, answer: HttpAnswer, kind: type[T], key: Secret) -> T:
    """The answer's JSON as ``kind``.

    Raises:
        AnswerError: it is no JSON, or of another shape.
    """
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip().casefold()
    if media_type != "application/json" and not media_type.endswith("+json"):
        message = f"{url}: the answer is {media_type or 'of no type'!r}, not JSON"
        raise AnswerError(f"{message}: {server_message(answer, key)}", status=answer.status)
    try:
        return msgspec.json.decode(key.redacted(answer.content.decode()), type=kind)
    except (msgspec.DecodeError, UnicodeError) as error:
        problem = key.redacted(f"the answer cannot be read ({error})")
        raise AnswerError(f"{url}: {problem}: {server_message(answer, key)}", status=answer.status) from None
