"""Ask a chat model for JSON, in the strictest form that its server takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pytest_embedbench.remote.client import Endpoint, Reply
from pytest_embedbench.remote.errors import EndpointError

BAD_REQUEST = 400

Message = dict[str, str]
"""``{"role": "system" | "user" | "assistant", "content": text}``."""


class _Content(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Content


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(msgspec.Struct, frozen=True):
    choices: tuple[_Choice, ...]
    usage: _Usage | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the model said ("" where it said nothing), the tokens that the server counted (0: it did not)."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    headers: dict[str, str]


class _Dialect(msgspec.Struct, frozen=True):
    """What a server may refuse with 400: a form of ``response_format``, and a temperature."""

    form: str = "json_schema"
    temperature: bool = True


_WEAKER = {"json_schema": "json_object", "json_object": "plain"}


class Chat:
    """A chat model behind ``/chat/completions``, at temperature 0 where it takes one.

    Structured output by JSON schema is asked for first. If the server answers 400 before any request has succeeded,
    ``json_object`` and then plain text are tried, and what works is kept for all further requests. After that, a 400
    is the fault of the one request.

    Args:
        endpoint: the server.
        model: the model's name there.
        schema: JSON schema of the answers; all properties required, ``additionalProperties`` false.
    """

    def __init__(self, endpoint: Endpoint, model: str, schema: dict[str, Any]) -> None:
        self._endpoint, self._model, self._schema = endpoint, model, schema
        self._dialect = _Dialect()
        self._proven = False

    @property
    def fallback(self) -> str:
        """What the server refused, in words; "" where it took everything."""
        refused = []
        if self._dialect.form != "json_schema":
            refused.append(f"structured output by schema ({self._dialect.form} was used)")
        if not self._dialect.temperature:
            refused.append("temperature 0 (its own was used)")
        return f"the server refused {' and '.join(refused)}" if refused else ""

    async def ask(self, messages: Sequence[Message]) -> Answer:
        """One completion.

        Raises:
            EndpointError: no answer, or none in the form of a completion.
        """
        dialect = self._dialect
        while True:
            try:
                reply = await self._post(messages, dialect)
            except EndpointError as error:
                if error.status != BAD_REQUEST:
                    raise
                # Where another request has found out meanwhile what works, take that.
                other = self._dialect if self._proven else _weaker(dialect, str(error))
                if other is None or other == dialect:
                    raise
                dialect = other
            else:
                break
        if not self._proven:
            self._dialect, self._proven = dialect, True
        value = reply.value
        usage = value.usage or _Usage()
        return Answer(
            text=(value.choices[0].message.content or "") if value.choices else "",
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            seconds=reply.seconds,
            headers=reply.headers,
        )

    async def _post(self, messages: Sequence[Message], dialect: _Dialect) -> Reply[_Completion]:
        payload: dict[str, Any] = {"model": self._model, "messages": list(messages)}
        if dialect.temperature:
            payload["temperature"] = 0
        if dialect.form == "json_schema":
            schema = {"name": "answer", "strict": True, "schema": self._schema}
            payload["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif dialect.form == "json_object":
            payload["response_format"] = {"type": "json_object"}
        return await self._endpoint.post("/chat/completions", payload, _Completion)


def _weaker(dialect: _Dialect, message: str) -> _Dialect | None:
    """What to try next after a 400 with this message; None where nothing is left."""
    if dialect.temperature and "temperature" in message:
        return msgspec.structs.replace(dialect, temperature=False)
    if dialect.form in _WEAKER:
        return msgspec.structs.replace(dialect, form=_WEAKER[dialect.form])
    return None
