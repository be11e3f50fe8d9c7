"""Chat: structured output where the server has it, a remembered fallback where not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.remote.chat import Chat, ChatAnswer
from pytest_embedbench.remote.client import Endpoint
from pytest_embedbench.remote.errors import AnswerError, EndpointError
from pytest_embedbench.remote.settings import EndpointSettings

if TYPE_CHECKING:
    from tests.conftest import FakeServer

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def ask(server: FakeServer, count: int = 1) -> tuple[list[ChatAnswer], str]:
    """Ask ``count`` times, one after the other; the answers and what the server refused."""

    async def run() -> tuple[list[ChatAnswer], str]:
        limits = EndpointSettings(url=server.url, backoff=0.01, timeout=5, patience=1)
        async with Endpoint(limits) as endpoint:
            chat = Chat(endpoint, "gpt-x", SCHEMA)
            answers = [await chat.ask([{"role": "user", "content": f"number {n}"}]) for n in range(count)]
            return answers, chat.fallback

    return asyncio.run(run())


def says(text: str, *refuses: str) -> dict[str, Any]:
    return {"kind": "judge", "how": "say", "text": text, "refuses": refuses}


def forms(server: FakeServer) -> list[tuple[str | None, bool]]:
    """What each request asked for: the type of its response format, and whether it named a temperature."""
    return [
        (seen["body"].get("response_format", {}).get("type"), "temperature" in seen["body"]) for seen in server.seen()
    ]


def test_a_question_and_its_answer(server: FakeServer) -> None:
    server.behave(says("two words"))
    (answer,), fallback = ask(server)
    assert (answer.text, answer.prompt_tokens, answer.completion_tokens, fallback) == ("two words", 2, 2, "")
    assert answer.seconds > 0
    (seen,) = server.seen()
    assert seen["path"] == "/v1/chat/completions"
    assert seen["body"] == {
        "model": "gpt-x",
        "messages": [{"role": "user", "content": "number 0"}],
        "temperature": 0,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
        },
    }


@pytest.mark.parametrize(
    ("refused", "tried", "note"),
    [
        (["json_schema"], [("json_schema", True), ("json_object", True)], "by schema (json_object was used)"),
        (
            ["json_schema", "json_object"],
            [("json_schema", True), ("json_object", True), (None, True)],
            "by schema (plain was used)",
        ),
        (["temperature"], [("json_schema", True), ("json_schema", False)], "refused temperature 0 (its own was used)"),
        (
            ["json_schema", "temperature"],
            [("json_schema", True), ("json_object", True), ("json_object", False)],
            "by schema (json_object was used) and temperature 0 (its own was used)",
        ),
    ],
)
def test_what_the_server_refuses_is_left_out_and_remembered(
    server: FakeServer, refused: list[str], tried: list[tuple[str | None, bool]], note: str
) -> None:
    server.behave(default=says("ok", *refused))
    answers, fallback = ask(server, 3)
    assert [answer.text for answer in answers] == ["ok"] * 3
    assert forms(server) == [*tried, tried[-1], tried[-1]], "what worked once is used at once"
    assert note in fallback


def test_questions_asked_at_once_find_out_together(server: FakeServer) -> None:
    server.behave(default={**says("ok", "json_schema"), "delay": 0.02})

    async def run() -> list[ChatAnswer]:
        async with Endpoint(EndpointSettings(url=server.url)) as endpoint:
            chat = Chat(endpoint, "gpt-x", SCHEMA)
            return await asyncio.gather(*(chat.ask([{"role": "user", "content": "x"}]) for _ in range(4)))

    assert [answer.text for answer in asyncio.run(run())] == ["ok"] * 4


def test_once_a_form_has_worked_a_400_is_the_questions_fault(server: FakeServer) -> None:
    server.behave(says("ok"), {"kind": "status", "status": 400, "body": "too long"})
    with pytest.raises(EndpointError, match="HTTP 400: too long"):
        ask(server, 2)
    assert len(server.seen()) == 2


def test_where_no_form_works_the_server_is_quoted(server: FakeServer) -> None:
    server.behave(default={"kind": "status", "status": 400, "body": "unknown model"})
    with pytest.raises(EndpointError, match="HTTP 400: unknown model"):
        ask(server)
    assert forms(server) == [("json_schema", True), ("json_object", True), (None, True)]


def test_other_errors_change_no_form(server: FakeServer) -> None:
    server.behave(default={"kind": "status", "status": 404})
    with pytest.raises(EndpointError, match="HTTP 404"):
        ask(server)
    assert len(server.seen()) == 1


REFUSALS = {
    "422": {"kind": "status", "status": 422, "body": "Extra inputs are not permitted"},
    "404": {"kind": "status", "status": 404, "body": "response_format: json_schema is not available"},
    "501": {"kind": "status", "status": 501, "body": "not implemented"},
    "500": {"kind": "status", "status": 500, "body": "unsupported: structured output"},
    "403": {"kind": "status", "status": 403, "body": "your plan has no JSON mode"},
    "200": {"kind": "raw", "body": '{"error": {"message": "unknown response_format"}}'},
    "200 with a code": {"kind": "raw", "body": '{"error": "guided_json failed", "choices": null}'},
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_form_may_be_refused_with_any_status(server: FakeServer, refusal: dict[str, Any]) -> None:
    times = 3 if refusal["status" if "status" in refusal else "kind"] == 500 else 1  # 500 may pass
    server.behave(*[refusal] * times, default=says("ok"))
    answers, fallback = ask(server, 2)
    assert [answer.text for answer in answers] == ["ok", "ok"]
    assert forms(server) == [*[("json_schema", True)] * times, ("json_object", True), ("json_object", True)]
    assert "json_object was used" in fallback


@pytest.mark.parametrize("status", [404, 500, 200])
def test_an_unknown_model_is_final_whatever_its_name(server: FakeServer, status: int) -> None:
    message = "The model `json_schema-judge` does not exist"
    body = f'{{"error": {{"message": "{message}"}}}}'
    failing = {"kind": "raw", "body": body} if status == 200 else {"kind": "status", "status": status, "body": body}
    server.behave(default=failing)

    async def run() -> None:
        async with Endpoint(EndpointSettings(url=server.url, attempts=1)) as endpoint:
            await Chat(endpoint, "json_schema-judge", SCHEMA).ask([{"role": "user", "content": "x"}])

    with pytest.raises(EndpointError, match="does not exist"):
        asyncio.run(run())
    assert len(server.seen()) == 1


@pytest.mark.parametrize(
    "body", ['{"choices": []}', '{"choices": [{"message": {"content": null, "refusal": "I will not"}}]}']
)
def test_a_server_that_says_nothing(server: FakeServer, body: str) -> None:
    server.behave({"kind": "raw", "body": body})
    (answer,), _ = ask(server)
    assert (answer.text, answer.prompt_tokens) == ("", 0)


def test_what_is_no_completion_is_an_error(server: FakeServer) -> None:
    server.behave(default={"kind": "raw", "body": '{"error": {"message": "no such thing"}}'})
    with pytest.raises(EndpointError, match="the answer is an error: no such thing"):
        ask(server)
    server.behave(default={"kind": "raw", "body": '{"text": "hello"}'})
    with pytest.raises(AnswerError, match="`choices`"):
        ask(server)
