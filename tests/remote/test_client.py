"""The HTTP client against a real server: retries and their budget, limits, redirects, broken answers, and the key."""

from __future__ import annotations

import asyncio
import builtins
import logging
import time
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_embedbench.errors import ConfigurationError, EmbedbenchError
from pytest_embedbench.remote.answers import MAX_MESSAGE_LENGTH
from pytest_embedbench.remote.client import Endpoint, Reply
from pytest_embedbench.remote.errors import AnswerError, EndpointError, ReportedError
from pytest_embedbench.remote.settings import EndpointSettings
from pytest_embedbench.remote.waiting_time import retry_after_seconds

if TYPE_CHECKING:
    from tests.conftest import FakeServer

KEY = "sk-secret/0123456789abcdef"
OK = {"kind": "raw", "body": '{"n": 1}'}
BUSY = {"kind": "status", "status": 503, "body": "busy"}
FAILED = {"kind": "status", "status": 500, "body": "failed"}


class Number(msgspec.Struct):
    n: int


def settings(server: FakeServer, **changes: Any) -> EndpointSettings:
    return EndpointSettings(**{"url": server.url, "backoff": 0.01, "timeout": 5.0, "patience": 1.0, **changes})


def post(limits: EndpointSettings, count: int = 1) -> list[Reply[Number] | BaseException]:
    """Send ``count`` requests at once; answers or errors, in order."""

    async def run() -> list[Reply[Number] | BaseException]:
        async with Endpoint(limits) as endpoint:
            calls = [endpoint.post("/things", {"number": n}, Number) for n in range(count)]
            return await asyncio.gather(*calls, return_exceptions=True)

    return asyncio.run(run())


def answer(limits: EndpointSettings) -> Reply[Number]:
    (found,) = post(limits)
    if isinstance(found, BaseException):
        raise found
    return found


def failure(limits: EndpointSettings) -> EndpointError:
    (found,) = post(limits)
    assert isinstance(found, EndpointError), found
    assert isinstance(found, EmbedbenchError)
    return found


def test_an_answer_comes_with_headers_and_time(server: FakeServer) -> None:
    server.behave({**OK, "delay": 0.05})
    reply = answer(settings(server))
    assert (reply.value, reply.attempts) == (Number(1), 1)
    assert reply.headers["openai-processing-ms"] == "7"
    assert 0.05 <= reply.seconds < 2
    (seen,) = server.seen()
    assert (seen["path"], seen["body"], seen["authorization"]) == ("/v1/things", {"number": 0}, "")


def test_a_slash_at_the_end_of_the_address_does_not_matter(server: FakeServer) -> None:
    server.behave(OK)
    answer(settings(server, url=server.url + "/"))
    assert server.seen()[0]["path"] == "/v1/things"


@pytest.mark.parametrize(
    "trouble",
    [
        BUSY,
        {"kind": "status", "status": 429},
        {"kind": "status", "status": 408},
        {"kind": "reset"},
        {"kind": "truncate"},
    ],
    ids=["503", "429", "408", "reset", "truncated"],
)
def test_what_may_pass_is_tried_again(server: FakeServer, trouble: dict[str, Any]) -> None:
    server.behave(trouble, trouble, OK)
    reply = answer(settings(server))
    assert (reply.value, reply.attempts) == (Number(1), 3)


def test_a_request_that_takes_too_long_is_tried_again(server: FakeServer) -> None:
    server.behave({"kind": "raw", "body": '{"n": 2}', "delay": 30}, OK)
    reply = answer(settings(server, timeout=1.0))
    assert (reply.value, reply.attempts) == (Number(1), 2)
    assert reply.seconds < 1, "the time of the request that was answered, alone"


def test_one_request_is_given_up_after_its_attempts(server: FakeServer) -> None:
    server.behave(default=FAILED)
    error = failure(settings(server, attempts=3))
    assert str(error) == f"{server.url}/things: HTTP 500: failed (after 3 attempts)"
    assert (error.status, error.fatal) == (500, False)
    assert len(server.seen()) == 3


def test_nobody_listens(server: FakeServer) -> None:
    found = post(settings(server, url="http://127.0.0.1:9/v1"), count=2)
    again = failure(settings(server, url="http://127.0.0.1:9/v1"))
    error = found[0]
    assert isinstance(error, EndpointError)
    assert str(error) == str(found[1]) == str(again)
    assert str(error) == (
        "http://127.0.0.1:9/v1/things: connection refused\n"
        "  fix: start the server, or correct the address: nothing listens at 127.0.0.1:9"
    )
    assert error.fatal, "without waiting, since this address never answered"


def test_the_budget_of_retries_is_that_of_all_requests_together(server: FakeServer) -> None:
    server.behave(default=FAILED)
    found = post(settings(server, retries=5, attempts=4, concurrency=3), count=8)
    assert len(server.seen()) == 8 + 5, "each request once, and five retries"
    fatal = [error for error in found if isinstance(error, EndpointError) and error.fatal]
    assert fatal
    assert str(fatal[0]).endswith("HTTP 500: failed\n  all 5 retries are used up")


def test_without_retries_the_first_trouble_is_the_last(server: FakeServer) -> None:
    server.behave(FAILED)
    assert failure(settings(server, retries=0)).fatal
    assert len(server.seen()) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_other_faults_of_the_client_are_not_tried_again(server: FakeServer, status: int) -> None:
    server.behave({"kind": "status", "status": status, "body": '{"error": {"message": "that is  wrong"}}'})
    error = failure(settings(server))
    assert f"HTTP {status}: that is wrong" in str(error)
    assert error.fatal == (status in {401, 403, 404}), "the others speak of this one request"
    assert len(server.seen()) == 1


@pytest.mark.parametrize("body", ["[1]", '{"error": "plain"}', '{"error": null}', "<html>no</html>", "", '"text"'])
def test_any_error_body_can_be_shown(server: FakeServer, body: str) -> None:
    server.behave({"kind": "status", "status": 400, "body": body})
    said = ": " if body else ", without a message"
    assert f"{server.url}/things: HTTP 400{said}" in str(failure(settings(server)))


def test_long_messages_are_cut(server: FakeServer) -> None:
    server.behave({"kind": "status", "status": 400, "body": "word " * 10_000})
    assert len(str(failure(settings(server)))) < MAX_MESSAGE_LENGTH + 100


def test_a_request_without_key_that_needs_one_says_so(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    server.behave(default={"kind": "status", "status": 401})
    error = failure(settings(server, api_key_env="MY_KEY"))
    assert error.fix == "set the environment variable MY_KEY to the key: it is not set, so no key was sent"
    assert 'api_key_env = "NAME"' in failure(settings(server)).fix
    monkeypatch.setenv("MY_KEY", KEY)
    assert failure(settings(server, api_key_env="MY_KEY")).fix.startswith("the server refuses MY_KEY: is it a key of")


# Retry-After


def test_retry_after_in_seconds_holds_for_all_requests(server: FakeServer) -> None:
    server.behave({"kind": "status", "status": 429, "headers": {"Retry-After": "1"}}, default={**OK, "delay": 0.05})
    started = time.perf_counter()
    found = post(settings(server, concurrency=1), count=3)
    assert all(isinstance(reply, Reply) for reply in found)
    assert 1 <= time.perf_counter() - started < 4
    assert len(server.seen()) == 4


def test_while_one_request_was_asked_to_wait_no_other_is_sent(server: FakeServer) -> None:
    server.behave({"kind": "status", "status": 429, "headers": {"Retry-After": "1.5"}}, default=OK)

    async def run() -> float:
        async with Endpoint(settings(server, patience=30)) as endpoint:
            first = asyncio.create_task(endpoint.post("/things", 1, Number))
            while not server_was_asked():  # noqa: ASYNC110 - it is another process that knows
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.1)
            started = time.perf_counter()
            await endpoint.post("/things", 2, Number)
            waited = time.perf_counter() - started
            await first
            return waited

    def server_was_asked() -> bool:
        return bool(server.seen())

    assert asyncio.run(run()) > 0.2


def test_retry_after_as_a_date(server: FakeServer) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=2)).replace(microsecond=0)
    busy = {"kind": "status", "status": 503, "headers": {"Retry-After": format_datetime(soon, usegmt=True)}}
    server.behave(busy, OK)
    assert answer(settings(server, patience=30)).attempts == 2
    assert soon <= datetime.now(UTC) < soon + timedelta(seconds=10)


def test_a_wait_that_is_too_long_is_refused(server: FakeServer) -> None:
    server.behave({"kind": "status", "status": 429, "headers": {"Retry-After": "3600"}})
    error = failure(settings(server, patience=60))
    assert "asks to wait 3600 s, longer than its patience of 60 s allows" in str(error)
    assert error.fatal


NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("3", 3),
        (" 1.5 ", 1.5),
        ("-4", 0),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30),
        ("Tue, 24 Nov 2026 12:00:30 -0000", 30),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
    ],
)
def test_reading_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


# Concurrency


def test_so_many_requests_are_under_way_and_no_more(server: FakeServer) -> None:
    server.behave(default={**OK, "delay": 0.05})
    found = post(settings(server, concurrency=3), count=12)
    assert all(isinstance(reply, Reply) for reply in found)
    assert server.peak() == 3


# Redirects


def redirect(target: str, status: int = 307) -> dict[str, Any]:
    return {"kind": "status", "status": status, "headers": {"Location": target}}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_another_host_is_refused(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    elsewhere = server.url.replace("127.0.0.1", "localhost")
    server.behave(redirect(f"{elsewhere}/things?key={KEY}", status))
    error = failure(settings(server, api_key_env="MY_KEY"))
    assert f"redirects to another host, {elsewhere.removesuffix('/v1')}: refused" in str(error)
    assert error.fatal
    assert len(server.seen()) == 1, "neither key nor texts went there"
    assert KEY not in str(error)


def test_another_port_is_another_host(server: FakeServer) -> None:
    server.behave(redirect("http://127.0.0.1:9/v1/things"))
    assert "another host, http://127.0.0.1:9: refused" in str(failure(settings(server)))


def test_a_redirect_on_the_same_server_is_followed(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    server.behave(redirect("/v2/things", 308), OK)
    assert answer(settings(server, api_key_env="MY_KEY")).value == Number(1)
    first, second = server.seen()
    assert second == {**first, "path": "/v2/things"}, "the same request, key and all"


def test_a_redirect_that_drops_the_request_is_an_error(server: FakeServer) -> None:
    server.behave(redirect("/login", 302))
    assert "redirects to /login in a way that drops the request" in str(failure(settings(server)))


def test_redirects_in_a_circle_end(server: FakeServer) -> None:
    server.behave(default=redirect("/v1/things"))
    assert "more than 3 redirects" in str(failure(settings(server)))
    assert len(server.seen()) == 4


# Broken answers


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        ('{"n": ', "application/json", "cannot be read (Input data was truncated)"),
        ("garbage", "application/json; charset=utf-8", "cannot be read"),
        ('{"n": "one"}', "application/json", "Expected `int`, got `str` - at `$.n`"),
        ('{"error": {"message": "no"}}', "application/json", "HTTP 200, but the answer is an error: no"),
        ("<html>Log in</html>", "text/html", "the answer is 'text/html', not JSON: <html>Log in</html>"),
        ("", "application/json", "cannot be read"),
    ],
)
def test_an_answer_of_another_kind_is_an_error(server: FakeServer, body: str, kind: str, message: str) -> None:
    server.behave({"kind": "raw", "body": body, "type": kind})
    error = failure(settings(server))
    assert isinstance(error, AnswerError | ReportedError)
    assert message in str(error)
    assert not error.fatal
    assert len(server.seen()) == 1


def test_an_answer_that_is_not_utf8_is_an_error(server: FakeServer) -> None:
    server.behave({"kind": "raw", "body": '{"n": "é"}', "encoding": "latin-1"})
    assert isinstance(failure(settings(server)), AnswerError)


def test_kinds_of_json_are_json(server: FakeServer) -> None:
    server.behave({"kind": "raw", "body": '{"n": 1}', "type": "application/vnd.thing+json"})
    assert answer(settings(server)).value == Number(1)


# The key


def everything(error: BaseException) -> str:
    """The error as a person may meet it: message, repr, traceback with its local variables."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    return str(error) + repr(error) + repr(vars(error)) + "".join(shown.format())


@pytest.mark.parametrize(
    "trouble",
    [
        {"kind": "status", "status": 401, "body": "Incorrect key: ", "echo": True},
        {"kind": "status", "status": 400, "body": "x" * (MAX_MESSAGE_LENGTH - 12) + " ", "echo": True},
        {"kind": "status", "status": 500, "echo": True},
        {"kind": "raw", "body": "you sent {key}", "type": "text/plain"},
        {"kind": "raw", "body": '{"error": "{key}"}'},
        {"kind": "raw", "body": '{"n": "{key}"}'},
        {"kind": "raw", "body": "{key}"},
    ],
    ids=["401", "at the cut", "500", "no json", "other shape", "wrong type", "garbage"],
)
def test_a_key_that_the_server_echoes_is_in_no_error(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: dict[str, Any]
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    server.behave(default=trouble)
    error = failure(settings(server, api_key_env="MY_KEY", attempts=2))
    assert server.seen()[0]["authorization"] == f"Bearer {KEY}"
    for part in (KEY, KEY[:10], KEY[-10:]):
        assert part not in everything(error)


def test_a_key_that_the_server_echoes_is_in_no_result(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Text(msgspec.Struct):
        text: str

    escaped = KEY.replace("/", "\\/")
    monkeypatch.setenv("MY_KEY", KEY)

    async def run() -> Reply[Text]:
        async with Endpoint(settings(server, api_key_env="MY_KEY")) as endpoint:
            assert KEY not in repr(endpoint) + repr(vars(endpoint)) + repr(endpoint.settings)
            return await endpoint.post("/things", {}, Text)

    for spelling in ("{key}", escaped):
        server.behave({"kind": "raw", "body": f'{{"text": "{spelling} and more"}}'})
        reply = asyncio.run(run())
        assert KEY not in repr(reply)
        assert reply.value.text.endswith("[API key] and more")
        assert reply.headers["x-echo"] == "Bearer [API key]"


def test_a_short_key_is_no_secret(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "EMPTY")
    server.behave({"kind": "status", "status": 400, "body": "the list is EMPTY"})
    assert "the list is EMPTY" in str(failure(settings(server, api_key_env="MY_KEY")))


@pytest.mark.parametrize("key", ["two\nlines-of-it", "with space-in-it", "schlüssel-schlüssel", "tab\tin-the-middle"])
def test_a_key_that_no_header_takes_is_an_error_that_does_not_show_it(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(ConfigurationError, match="environment variable MY_KEY: is not an API key") as caught:
        post(settings(server, api_key_env="MY_KEY"))
    assert key not in str(caught.value)
    assert server.seen() == []


def test_white_space_around_a_key_is_dropped(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    server.behave(OK)
    answer(settings(server, api_key_env="MY_KEY"))
    assert server.seen()[0]["authorization"] == f"Bearer {KEY}"


# Settings


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host/v1", "http://", "/v1"])
def test_what_is_no_address_is_an_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is not an http\(s\) address\n  fix: write it like https://"):
        EndpointSettings(url=url)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://me:hunter22@host/v1", "more than scheme, host, path and query"),
        ("https://host/#hunter22", "more than scheme, host, path and query"),
        ("https://host/v1?key=hunter22", "the value of key looks like a secret\n.* write key=\\$NAME"),
        ("ftp://host/v1?subscription-key=hunter22", "the value of subscription-key looks like a secret"),
        ("https://host/v1?route=hunter22hunter22hunter22", "the value of route looks like a secret"),
    ],
)
def test_an_address_may_hold_no_secret_and_the_error_does_not_show_it(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as caught:
        EndpointSettings(url=url)
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("limit", [{"timeout": 0}, {"concurrency": 0}, {"attempts": 0}, {"retries": -1}])
def test_limits_that_make_no_sense_are_errors(limit: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"endpoint: {next(iter(limit))}"):
        EndpointSettings(url="http://host", **limit)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "httpx2":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ConfigurationError, match=r"httpx2 is not installed\n.*pytest-embedbench\[http\]"):
        Endpoint(EndpointSettings(url="http://host"))
