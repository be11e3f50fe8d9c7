"""Ask a chat model for JSON, in the strictest form that its server accepts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from pytest_embedbench.remote.answers import TokenUsage
from pytest_embedbench.remote.client import Endpoint, Reply
from pytest_embedbench.remote.errors import EndpointError

Message = dict[str, str]
"""``{"role": "system" | "user" | "assistant", "content": text}``."""


class _Content(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Content


class _Completion(msgspec.Struct, frozen=True):
    choices: tuple[_Choice, ...]
    usage: TokenUsage | None = None


class ChatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The text of a completion ("" if it has none), and the tokens that the server counted (0 if it did not)."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    headers: dict[str, str]


class _RequestForm(msgspec.Struct, frozen=True):
    """The parts of a request that a server may refuse."""

    response_format: str = "json_schema"
    temperature: bool = True


FORM_STATUSES = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_IMPLEMENTED}
"""Statuses of a request that the server does not accept, whether or not it says what it does not accept."""

NEVER_FORM_STATUSES = {HTTPStatus.UNAUTHORIZED, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
"""Statuses that concern no form of a request, whatever their message says."""

_FORM_WORDS = re.compile(
    r"response[_ -]?format|json[_ -]?(?:schema|object|mode)|structured[_ -]?outputs?|guided[_ -]?(?:json|decoding)"
    r"|\bgrammar\b|temperature",
    re.IGNORECASE,
)
"""Words of a message that speaks of the form of a request."""

_WEAKER_FORMAT = {"json_schema": "json_object", "json_object": "plain"}
"""Response format -> the weaker format to try if the server refuses it."""


class Chat:
    """A chat model behind ``/chat/completions``, at temperature 0 if the server accepts that.

    Structured output by JSON schema is tried first. If the server refuses that before any request has succeeded,
    ``json_object`` and then plain text are tried, and all further requests use what has worked. It refuses with 400,
    422 or 501, or with any other error, also under status 200, whose message speaks of the form. After a success, an
    error is the fault of the single request.

    Args:
        endpoint: the server.
        model: the model's name there.
        schema: JSON schema of the answers; all properties required, ``additionalProperties`` false.
    """

    def __init__(self, endpoint: Endpoint, model: str, schema: dict[str, Any]) -> None:
        self._endpoint, self._model, self._schema = endpoint, model, schema
        self._form = _RequestForm()
        self._form_works = False

    @property
    def fallback(self) -> str:
        """A sentence about what the server refused; "" if it accepted everything."""
        refused = []
        if self._form.response_format != "json_schema":
            refused.append(f"structured output by schema ({self._form.response_format} was used)")
        if not self._form.temperature:
            refused.append("temperature 0 (its own was used)")
        return f"the server refused {' and '.join(refused)}" if refused else ""

    async def ask(self, messages: Sequence[Message]) -> ChatAnswer:
        """Return the completion of a conversation.

        Raises:
            EndpointError: no answer came, or it is not a completion.
        """
        form = self._form
        while True:
            try:
                reply = await self._post(messages, form)
            except EndpointError as error:
                if not self._concerns_form(error):
                    raise
                # Requests run at the same time: another one may have found a form that works.
                other = self._form if self._form_works else _weaker(form, error.problem)
                if other is None or other == form:  # nothing weaker is left, or this form works for other requests
                    raise
                form = other
            else:
                break
        if not self._form_works:
            self._form, self._form_works = form, True
        completion = reply.value
        usage = completion.usage or TokenUsage()
        return ChatAnswer(
            text=(completion.choices[0].message.content or "") if completion.choices else "",
            prompt_tokens=usage.prompt_tokens or 0,
            completion_tokens=usage.completion_tokens or 0,
            seconds=reply.seconds,
            headers=reply.headers,
        )

    def _concerns_form(self, error: EndpointError) -> bool:
        """Whether the server refuses the form of the request, e.g. knows no ``json_schema``."""
        if error.status in NEVER_FORM_STATUSES:
            return False
        # The model's own name may hold such words, and the message that there is no such model names it.
        message = error.problem.replace(self._model, "")
        return error.status in FORM_STATUSES or bool(_FORM_WORDS.search(message))

    async def _post(self, messages: Sequence[Message], form: _RequestForm) -> Reply[_Completion]:
        payload: dict[str, Any] = {"model": self._model, "messages": list(messages)}
        if form.temperature:
            payload["temperature"] = 0
        if form.response_format == "json_schema":
            schema = {"name": "answer", "strict": True, "schema": self._schema}
            payload["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif form.response_format == "json_object":
            payload["response_format"] = {"type": "json_object"}
        return await self._endpoint.post("/chat/completions", payload, _Completion)


def _weaker(form: _RequestForm, problem: str) -> _RequestForm | None:
    """Return the form to try after a refusal with this message; None if there is no weaker one."""
    # Some reasoning models refuse any temperature but their own; the message then names the field.
    if form.temperature and "temperature" in problem:
        return msgspec.structs.replace(form, temperature=False)
    if form.response_format in _WEAKER_FORMAT:
        return msgspec.structs.replace(form, response_format=_WEAKER_FORMAT[form.response_format])
    return None
