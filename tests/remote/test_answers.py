"""Bodies of answers: errors under a status of success, NaN, byte order marks, and the server's message in any shape."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from pytest_embedbench.remote.answers import MAX_MESSAGE_LENGTH, HttpAnswer, decode_answer, server_message
from pytest_embedbench.remote.embeddings import Embeddings
from pytest_embedbench.remote.errors import AnswerError, EndpointError, NotReadyError, PassingError, ReportedError
from pytest_embedbench.remote.secret import Secret

KEY = Secret("sk-very-secret")
GOOD = {"data": [{"index": 0, "embedding": [1.0, 2.0]}]}


def answer(body: object, media_type: str = "application/json", status: int = 200) -> HttpAnswer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HttpAnswer(status, {"content-type": media_type}, content)


def decoded(body: object, media_type: str = "application/json") -> Embeddings:
    return decode_answer("http://host/v1/embeddings", answer(body, media_type), Embeddings, KEY)


@pytest.mark.parametrize("media_type", ["application/json", "text/plain", "application/octet-stream", ""])
def test_json_is_read_under_any_media_type(media_type: str) -> None:
    assert decoded(GOOD, media_type).vectors(1).tolist() == [[1.0, 2.0]]


def test_a_byte_order_mark_is_no_part_of_the_answer() -> None:
    assert decoded(b"\xef\xbb\xbf" + json.dumps(GOOD).encode()).vectors(1).tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_literals_of_pythons_json_are_numbers(literal: str) -> None:
    read = decoded(json.dumps(GOOD).replace("2.0", literal).encode()).vectors(1)
    assert str(read[0, 1]) == {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}[literal]


MESSAGE = "the model does not know this input"


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": MESSAGE, "type": "invalid_request_error", "code": None}},
        {"error": MESSAGE},
        {"error": True, "message": MESSAGE},
        {"detail": MESSAGE},
        {"detail": [{"loc": ["body", "input"], "msg": MESSAGE, "type": "value_error"}]},
        {"object": "error", "message": MESSAGE, "type": "BadRequestError", "code": 400},
        {"errors": [{"message": MESSAGE}]},
        {"error": {"error": {"message": MESSAGE}}},
        {"data": None, "error": {"message": MESSAGE}},
    ],
)
def test_an_error_under_a_status_of_success_is_an_error_with_its_message(body: dict[str, Any]) -> None:
    with pytest.raises(ReportedError, match=f"HTTP 200, but the answer is an error: {MESSAGE}$"):
        decoded(body)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"error": {"message": "Rate limit reached for requests", "code": "rate_limit_exceeded"}}, 200),
        ({"error": {"message": "no", "code": 429}}, 429),
        ({"object": "error", "message": "no", "code": "503"}, 503),
        ({"object": "error", "message": "no", "code": 500}, 500),
        ({"detail": "The model is loading, try again in 20 s"}, 200),
    ],
)
def test_an_error_that_may_pass_is_one_to_try_again(body: dict[str, Any], status: int) -> None:
    with pytest.raises((NotReadyError, PassingError)) as caught:
        decoded(body)
    assert caught.value.status == status


def test_a_refusal_under_a_status_of_success_has_the_status_that_it_names() -> None:
    with pytest.raises(ReportedError) as caught:
        decoded({"object": "error", "message": "the batch is too large to fit into the capacity", "code": 413})
    assert caught.value.status == 413


@pytest.mark.parametrize("body", [{"data": 5}, [], "text", {"data": [[1.0]]}, {"other": 1}])
def test_what_is_neither_an_answer_nor_an_error_cannot_be_read(body: object) -> None:
    with pytest.raises(AnswerError, match="the answer cannot be read"):
        decoded(body)


def test_a_page_is_shown_and_not_where_decoding_failed() -> None:
    with pytest.raises(AnswerError, match="the answer is 'text/html', not JSON: <html>Sign in</html>"):
        decoded(b"<html>Sign in</html>", "text/html; charset=utf-8")


@pytest.mark.parametrize("body", [b"\xff\xfe", b"[" * 100_000, b"", b"{"])
def test_no_body_is_more_than_an_error(body: bytes) -> None:
    with pytest.raises(EndpointError):
        decoded(body)


def test_the_message_of_an_error_is_masked_and_short() -> None:
    body = {"error": {"message": "bad key sk-very-secret\n" + "x" * 1000}}
    with pytest.raises(ReportedError) as caught:
        decoded(body)
    assert "sk-very-secret" not in str(caught.value)
    assert "\n" not in caught.value.problem
    assert len(server_message(answer(body, status=400), KEY)) <= MAX_MESSAGE_LENGTH + 10


def test_other_kinds_of_bodies_are_read_the_same_way() -> None:
    kind = msgspec.defstruct("Other", [("choices", list[str])])
    assert decode_answer("u", answer({"choices": ["a"]}), kind, KEY) == kind(["a"])
