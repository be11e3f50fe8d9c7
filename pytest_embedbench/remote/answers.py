"""Read a server's answers, and keep the API key out of every result and error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from pytest_embedbench.core.decoding import DecodingError, decode_json, decode_loose_json
from pytest_embedbench.remote.bodies import MAX_ERROR, max_answer, unpacked_unasked
from pytest_embedbench.remote.errors import AnswerError, EndpointError, NotReadyError, PassingError, ReportedError
from pytest_embedbench.remote.secret import Secret
from pytest_embedbench.remote.statuses import NOT_READY_STATUSES, TIMEOUT_STATUSES
from pytest_embedbench.remote.waiting_time import asked_wait

T = TypeVar("T")

MAX_MESSAGE_LENGTH = 300
"""Characters; an error quotes at most this much of a server's message."""

MAX_MESSAGE_DEPTH = 8
"""Objects and lists around a message, at most."""

ADDRESS_FIX = (
    "check the address: it is that of an OpenAI-compatible API, with its version, e.g. http://localhost:8080/v1"
)

MESSAGE_KEYS = ("error", "errors", "detail", "details", "message", "msg", "error_message", "reason")
"""Keys of an error's body under which servers put their message, or an object with it; the first one that has text."""

NOT_READY_WORDS = re.compile(
    r"rate.?limit|too many requests|overload|try again|temporar|unavailable|is loading|warming up|at capacity|busy",
    re.IGNORECASE,
)
"""Words of a server that takes no request now, where a body names no status."""


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
    """Return the message of an answer with an error, in one line of limited length.

    The key is removed before the line is cut, so that no part of the key remains at the cut.
    """
    try:
        content = unpacked_unasked(answer.content[:MAX_ERROR], MAX_ERROR)
    except AnswerError as error:
        return error.problem
    text = content.decode("utf-8-sig", errors="replace")
    with suppress(DecodingError):
        text = _message(decode_loose_json(text)) or text
    return _one_line(key.redacted(text))


def decode_answer(url: str, answer: HttpAnswer, kind: type[T], key: Secret) -> T:
    """Decode the JSON of an answer as ``kind``, whatever media type its header names.

    ``NaN`` and ``Infinity``, which Python's json module writes, are read as numbers.

    Raises:
        NotReadyError, PassingError: the body reports an error that may pass, in spite of its status of success.
        ReportedError: the body reports another error.
        AnswerError: the body is not JSON, or of another shape.
    """
    url = key.redacted(url)  # a redirect may have put the key there
    body: Any = None
    try:
        # Redacted before it is decoded, so that no field of the result can hold the key.
        text = key.redacted(unpacked_unasked(answer.content, max_answer()).decode("utf-8-sig"))
        try:
            return decode_json(text, kind)
        except DecodingError as error:
            problem = str(error)
        body = decode_loose_json(text)
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        problem = str(error)
    except UnicodeError as error:
        problem = str(error)
    except DecodingError:
        pass  # the first decoder has said what is wrong
    if reported := _reported(body, key):
        problem = f"HTTP {answer.status}, but the answer is an error: {reported}"
        raise _reported_error(problem, url, _reported_status(body), answer.status)
    # Masked before anything is cut off, lest part of the key remains.
    media_type = key.redacted(answer.headers.get("content-type", "")).partition(";")[0].strip().casefold()
    # Of a proxy's HTML page, the message should show the text, not where JSON decoding failed.
    if body is None and media_type != "application/json" and not media_type.endswith("+json"):
        problem = f"the answer is {media_type or 'of no type'!r}, not JSON: {server_message(answer, key)}"
        raise AnswerError(problem, where=url, fix=ADDRESS_FIX, status=answer.status)
    problem = f"the answer cannot be read ({problem}): {server_message(answer, key)}"
    raise AnswerError(key.redacted(problem), where=url, fix=ADDRESS_FIX, status=answer.status)


def _reported_error(problem: str, url: str, named: int | None, status: int) -> EndpointError:
    """Return the error for a body that reports one, and names this status or none."""
    if named in NOT_READY_STATUSES or (named is None and NOT_READY_WORDS.search(problem)):
        quota = named == HTTPStatus.TOO_MANY_REQUESTS
        return NotReadyError(problem, where=url, status=named or status, wait=asked_wait({}, problem), quota=quota)
    if named in TIMEOUT_STATUSES or named == HTTPStatus.INTERNAL_SERVER_ERROR:
        return PassingError(problem, where=url, status=named, timed_out=named in TIMEOUT_STATUSES)
    return ReportedError(problem, where=url, status=named or status)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_MESSAGE_LENGTH else line[:MAX_MESSAGE_LENGTH] + " [...]"


def _message(body: Any, depth: int = MAX_MESSAGE_DEPTH) -> str:
    """Return the message in an error's body, wherever servers put it; "" if there is none."""
    if isinstance(body, str):
        return body
    if not depth:
        return ""
    if isinstance(body, list):
        return "; ".join(filter(None, (_message(part, depth - 1) for part in body[:3])))
    if not isinstance(body, dict):
        return ""
    found = next((found for name in MESSAGE_KEYS if (found := _message(body.get(name), depth - 1))), "")
    # The body itself where it is an error in a shape of its own.
    return found or next((str(body[name]) for name in MESSAGE_KEYS if isinstance(body.get(name), dict)), "")


def _reported(body: Any, key: Secret) -> str:
    """Return the message of a body that reports an error; "" for any other body."""
    return _one_line(key.redacted(_message(body))) if isinstance(body, dict) else ""


def _reported_status(body: dict[str, Any]) -> int | None:
    """Return the HTTP status that an error's body names; None if it names none."""
    parts = [body, *(part for name in MESSAGE_KEYS if isinstance(part := body.get(name), dict))]
    values = (part.get(name) for part in parts for name in ("code", "status", "status_code", "statusCode"))
    return next((int(str(value)) for value in values if re.fullmatch("[45][0-9][0-9]", str(value))), None)
