"""Servers' words: which mean that a text is too long, and which that a request has too many of them."""

from __future__ import annotations

import pytest

from pytest_embedbench.models.served.refusals import is_refusal, says_too_long, says_too_many, too_long_fix
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.remote.errors import EndpointError, ReportedError
from pytest_embedbench.remote.statuses import status_problem

SPEC = ModelSpec(kind="endpoint", url="http://host/v1", model="BAAI/bge-m3")


def error(message: str, status: int | None = 400) -> EndpointError:
    return EndpointError(f"HTTP {status}: {message}", status=status)


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        ("Input validation error: `inputs` must have less than 512 tokens. Given: 542", 512),
        ("This model's maximum context length is 8192 tokens. However, you requested 10000 tokens in the input", 8192),
        ("This model's maximum context length is 8,192 tokens, however you requested 10,001 tokens", 8192),
        ("the input length exceeds the context length", None),
        ("input (542 tokens) is too large to process. increase the physical batch size (current batch size: 512)", 542),
        ("Input length 542 exceeds maximum allowed token size 512", None),
        ("Too many input tokens. Max input tokens: 8192, request input token count: 9000", None),
        ("Please reduce the length of the messages", None),
        ("The size of tensor a (542) must match the size of tensor b (512) at non-singleton dimension 1", None),
        ("index out of range in self", None),
        ("Input text exceeds the model's maximum", None),
    ],
)
def test_words_for_a_text_that_is_too_long(message: str, limit: int | None) -> None:
    if "exceeds the model's" not in message:  # found out by asking for another text of that length
        assert says_too_long(error(message))
    fix = too_long_fix(SPEC, message)
    assert f"max_seq_length = {limit or 'N'} " in fix
    assert 'tokenizer = "BAAI/bge-m3"' in fix
    assert "--auto-truncate" in fix
    assert "truncate_prompt_tokens" in fix


def test_a_status_without_a_message() -> None:
    assert status_problem(400, "") == "HTTP 400, without a message"
    assert status_problem(400, "bad") == "HTTP 400: bad"


def test_status_413_needs_no_words() -> None:
    assert says_too_long(error("no", 413))


@pytest.mark.parametrize(
    "message", ["failed to encode response: json: unsupported value: NaN", "'$.input' is invalid", "CUDA error"]
)
def test_other_words_say_nothing_of_length(message: str) -> None:
    assert not says_too_long(error(message, 500))


@pytest.mark.parametrize(
    "message",
    [
        "batch size 64 > maximum allowed batch size 32",
        "batch size is invalid, it should not be larger than 10",
        "Invalid 'input': array too long. Expected an array with maximum length 2048",
        "total number of texts must be at most 96",
        "List should have at most 128 items after validation",
        "too many inputs",
    ],
)
def test_words_for_too_many_texts(message: str) -> None:
    assert says_too_many(error(message))


def test_what_may_succeed_with_other_texts() -> None:
    assert all(is_refusal(error("no", status)) for status in (400, 413, 422, 500, 424, 503))
    assert is_refusal(ReportedError("no", status=200))
    assert not any(is_refusal(error("no", status)) for status in (None, 401, 404, 429))
    assert not is_refusal(EndpointError("no", status=400, fatal=True))
