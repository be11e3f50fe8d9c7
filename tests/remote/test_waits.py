"""Servers that are not ready: one wait for all requests, bounded by the patience, shown meanwhile; and the pace."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_embedbench.core import waits
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.remote import servers
from pytest_embedbench.remote.client import Endpoint, Reply
from pytest_embedbench.remote.errors import EndpointError, NotReadyError
from pytest_embedbench.remote.servers import Server, pace
from pytest_embedbench.remote.settings import EndpointSettings
from pytest_embedbench.remote.waiting_time import asked_wait

if TYPE_CHECKING:
    from tests.conftest import FakeServer

OK = {"kind": "raw", "body": '{"n": 1}'}
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


class Number(msgspec.Struct):
    n: int


def status(code: int, body: str = "no", **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"kind": "status", "status": code, "body": body, "headers": named}


def settings(server: FakeServer, **changes: Any) -> EndpointSettings:
    return EndpointSettings(**{"url": server.url, "backoff": 0.01, "timeout": 5.0, "patience": 30.0, **changes})


def post(limits: EndpointSettings, count: int = 1, *, divisible: bool = False) -> list[Reply[Number] | BaseException]:
    """Send ``count`` requests at once; answers or errors, in order."""

    async def run() -> list[Reply[Number] | BaseException]:
        async with Endpoint(limits) as endpoint:
            calls = [endpoint.post("/things", {"number": n}, Number, divisible=divisible) for n in range(count)]
            return await asyncio.gather(*calls, return_exceptions=True)

    return asyncio.run(run())


def failure(limits: EndpointSettings, *, divisible: bool = False) -> EndpointError:
    (found,) = post(limits, divisible=divisible)
    assert isinstance(found, EndpointError), found
    return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Replace the servers' clock, and return a function that sets it forward; sleeping sets it forward too."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def forward(seconds: float) -> None:
        now[0] += seconds

    async def sleep(seconds: float) -> None:
        forward(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
    return forward


@pytest.mark.parametrize(
    "trouble",
    [
        status(503, "model is loading"),
        status(502),
        status(504),
        status(429),
        status(529),
        status(500, "llm server loading model"),
        status(424, "model is overloaded"),
    ],
    ids=lambda trouble: f"{trouble['status']} {trouble['body']}",
)
def test_a_server_that_is_not_ready_is_waited_for_longer_than_any_number_of_attempts(
    server: FakeServer, trouble: dict[str, Any]
) -> None:
    server.behave(*[trouble] * 5, OK)
    (reply,) = post(settings(server, attempts=1, retries=0))
    assert isinstance(reply, Reply), reply
    assert reply.attempts == 6


def test_requests_wait_together_and_one_asks_for_all(server: FakeServer) -> None:
    server.behave(*[status(503)] * 12, default=OK)
    found = post(settings(server, concurrency=8), count=8)
    assert all(isinstance(reply, Reply) for reply in found)
    assert len(server.seen()) == 12 + 8, "the eight that were refused at once, and four single ones"


def test_patience_ends_once_for_all_and_later_requests_are_sent_once(server: FakeServer) -> None:
    server.behave(default=status(503, "loading"))
    limits = settings(server, patience=0.3, backoff=0.05)
    found = post(limits, count=4)
    assert {str(error) for error in found} == {str(found[0])}, "the same words for all"
    assert isinstance(found[0], EndpointError)
    assert found[0].fatal
    assert "HTTP 503: loading\n  given up after" in str(found[0])
    assert "its patience is 0.3 s\n  fix: raise the patience" in str(found[0])
    before = len(server.seen())
    assert "was given up before" in str(failure(limits))
    assert len(server.seen()) == before + 1
    server.behave(OK, status(503), OK)
    assert isinstance(post(limits)[0], Reply)
    assert isinstance(post(limits)[0], Reply), "it has worked since, so it is waited for again"


def test_any_success_begins_the_patience_anew(clock: Callable[[float], None]) -> None:
    place, limits = Server("http://h"), EndpointSettings(url="http://h", patience=10)

    async def run() -> None:
        for _ in range(5):
            place.not_ready(await place.turn(limits, 0), NotReadyError("busy", status=429), limits)
            clock(6)
            place.answered(await place.turn(limits, 0))
        place.not_ready(await place.turn(limits, 0), NotReadyError("busy", status=429), limits)
        clock(11)
        with pytest.raises(EndpointError, match=r"busy\n  given up after 1[12] s"):
            place.not_ready(await place.turn(limits, 0), NotReadyError("busy", status=429), limits)

    asyncio.run(run())


@pytest.mark.usefixtures("clock")
def test_after_trouble_requests_in_flight_double() -> None:
    place, limits = Server("http://h"), EndpointSettings(url="http://h")

    async def run() -> list[int]:
        place.not_ready(await place.turn(limits, 0), NotReadyError("busy"), limits)
        at_once, turns = [], [await place.turn(limits, 0)]
        for _ in range(4):
            at_once.append(len(turns))
            for turn in turns:
                place.answered(turn)
            turns = []
            while place._delay(time.monotonic(), limits)[0] <= 0 and len(turns) < 100:
                turns.append(await place.turn(limits, 0))
        return at_once

    assert asyncio.run(run()) == [1, 2, 8, 100], "each answer doubles the number"


@pytest.mark.parametrize("asked", [{"Retry_After": "0.4"}, {"retry_after_ms": "400"}, {"x_ratelimit_reset": "400ms"}])
def test_the_time_that_a_server_names_is_waited(server: FakeServer, asked: dict[str, str]) -> None:
    server.behave(status(429, "quota", **asked), OK)
    times: list[float] = []

    async def run() -> None:
        async with Endpoint(settings(server)) as endpoint:
            loop = asyncio.get_running_loop()
            times.append(loop.time())
            await endpoint.post("/things", 1, Number)
            times.append(loop.time())

    asyncio.run(run())
    assert times[1] - times[0] >= 0.4


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({}, "busy", None),
        ({"retry-after": "7", "x-ratelimit-reset": "99"}, "", 7),
        ({"retry-after-ms": "1500"}, "", 1.5),
        ({"x-ratelimit-reset-requests": "6m0s"}, "", 360),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-remaining-requests": "0",
          "x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "149984"}, "", 1),
        ({"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "12"}, "", None),
        ({"ratelimit-reset": "30"}, "", 30),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) + 12)}, "", 12),
        ({"x-ratelimit-reset": str(int(NOW.timestamp() * 1000) + 12_000)}, "", 12),
        ({"anthropic-ratelimit-requests-reset": "2026-11-24T12:00:45Z"}, "", 45),
        ({"x-ratelimit-reset": "soon"}, "", None),
        ({}, "Rate limit reached for model. Please try again in 20s. Visit x", 20),
        ({}, "Please retry after 38 seconds.", 38),
        ({}, "try again in 350ms", 0.35),
        ({}, "retry the 3 models", None),
    ],
)  # fmt: skip
def test_times_that_servers_name(headers: dict[str, str], message: str, seconds: float | None) -> None:
    assert asked_wait(headers, message, NOW) == (seconds and pytest.approx(seconds))


def test_credit_that_is_used_up_is_final_at_once(server: FakeServer) -> None:
    body = '{"error": {"message": "You exceeded your current quota, please check your plan.", "code": "insufficient_quota"}}'
    server.behave(default=status(429, body))
    error = failure(settings(server))
    assert error.fatal
    assert "account's credit" in error.fix
    assert len(server.seen()) == 1


def test_one_request_that_brings_a_server_down_is_given_up_alone(server: FakeServer) -> None:
    """A gateway answers 502 for the request whose text ends its server, and others are answered in between."""
    bad = asyncio.Event()

    async def run() -> EndpointError:
        async with Endpoint(settings(server, attempts=2)) as endpoint:

            async def others() -> None:
                while not bad.is_set():
                    await endpoint.post("/things", 1, Number)

            async def broken() -> int:
                raise NotReadyError("HTTP 502: bad gateway", status=502)

            task = asyncio.create_task(others())
            with pytest.raises(EndpointError, match="while other requests were answered") as caught:
                await endpoint._policy.call(broken)
            bad.set()
            await task
            return caught.value

    server.behave(default=OK)
    error = asyncio.run(run())
    assert not error.fatal
    assert error.status == 502


def test_a_request_that_can_be_divided_is_not_sent_again_after_a_time_out(server: FakeServer) -> None:
    server.behave(default={**OK, "delay": 30})
    error = failure(settings(server, timeout=0.3), divisible=True)
    assert (error.timed_out, error.fatal, len(server.seen())) == (True, False, 1)
    error = failure(settings(server, timeout=0.3, attempts=2))
    assert (error.timed_out, error.fatal, len(server.seen())) == (True, False, 3)


def test_a_gateways_time_out_is_one_once_the_server_has_answered(server: FakeServer) -> None:
    server.behave(OK, default=status(504))
    limits = settings(server)
    post(limits)
    error = failure(limits, divisible=True)
    assert (error.timed_out, len(server.seen())) == (True, 2)


def test_a_server_that_stops_is_waited_for_and_one_error_says_what_to_do(server: FakeServer) -> None:
    limits = settings(server, url="http://127.0.0.1:9/v1", patience=0.2)
    servers.server_of(limits).worked = True
    error = failure(limits)
    assert "connection refused\n  given up after" in str(error)
    assert error.fix.startswith("start the server again, then run the same command")


@pytest.mark.usefixtures("clock")
def test_the_wait_is_told_at_most_once_a_second_and_taken_back() -> None:
    lines: list[str] = []
    place, limits = Server("http://h:1"), EndpointSettings(url="http://h:1", patience=300)

    async def run() -> None:
        trouble = NotReadyError("HTTP 503: loading", status=503, wait=12.0)
        place.not_ready(await place.turn(limits, 0), trouble, limits)
        place.answered(await place.turn(limits, 0))

    with waits.ANNOUNCER.heard_by(lines.append):
        asyncio.run(run())
    assert lines[0] == "waiting for http://h:1: HTTP 503: loading, 1 s of 300 s"
    assert lines[-2:] == ["waiting for http://h:1: HTTP 503: loading, 11 s of 300 s", ""]
    assert len(lines) == 12


@pytest.mark.usefixtures("clock")
def test_the_pace_holds_for_all_clients_of_a_server() -> None:
    limits = EndpointSettings(url="http://h/v1", requests_per_minute=3)
    sent: list[float] = []

    async def run() -> None:
        for _ in range(9):
            place = servers.server_of(limits)
            place.answered(await place.turn(limits, 0))
            sent.append(time.monotonic())

    asyncio.run(run())
    assert sent[0] == sent[2], "the first three at once"
    assert all(later - earlier > 60 for earlier, later in zip(sent, sent[3:], strict=False))
    assert sent[8] - sent[0] < 130


@pytest.mark.parametrize(
    ("rate", "workers", "count", "window"), [(60, "1", 60, 60), (0.5, "1", 1, 120), (10, "4", 2, 48), (3, "6", 1, 120)]
)
def test_xdist_workers_share_a_pace(
    monkeypatch: pytest.MonkeyPatch, rate: float, workers: str, count: int, window: float
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", workers)
    found = pace(rate)
    assert found[0] == count
    assert found[1] == pytest.approx(window * servers.PACE_MARGIN)


def test_clients_in_several_threads_wait_together(server: FakeServer) -> None:
    server.behave(*[status(503)] * 6, default=OK)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.extend(post(settings(server)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reply.value for reply in found] == [Number(1)] * 3
    assert len(server.seen()) == 6 + 3


@pytest.mark.parametrize("limit", [{"patience": -1}, {"requests_per_minute": 0}, {"requests_per_minute": -2.0}])
def test_limits_that_make_no_sense(limit: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"endpoint: {next(iter(limit))}"):
        EndpointSettings(url="http://h", **limit)


@pytest.mark.parametrize(
    "value",
    [
        "9" * 400, "1e999", "nan", "-inf", "Mon, 01 Jan 99999 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 +9999999999",
        "1 Jan 1 0:0:0 +2359", "x" * 10_000, "1:2:3:4:5", "", ",", "0 0 0 0:0:0", "²",
    ],
)  # fmt: skip
def test_odd_times_are_seconds_or_none(value: str) -> None:
    for headers in ({"retry-after": value}, {"retry-after-ms": value}, {"x-ratelimit-reset": value}):
        seconds = asked_wait(headers, f"try again in {value}s")
        assert seconds is None or 0 <= seconds < float("inf")
