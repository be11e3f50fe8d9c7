"""Answers of any size, packed or not: what is too large is refused before it is in memory, by both clients."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import msgspec
import pytest

from pytest_embedbench.core.unpacking import SETTING
from pytest_embedbench.errors import ConfigurationError, EmbedbenchError
from pytest_embedbench.load.clients.http import AnswerTooLargeError, HttpClient
from pytest_embedbench.remote.answers import HttpAnswer, decode_answer, server_message
from pytest_embedbench.remote.client import Endpoint
from pytest_embedbench.remote.errors import AnswerError, EndpointError
from pytest_embedbench.remote.secret import Secret
from pytest_embedbench.remote.settings import EndpointSettings
from tests.support.raw_server import RawServer

BODY = b'{"n": 1}'
PIECE = b" " * 1_000_000


class Number(msgspec.Struct):
    n: int


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Content-Type: application/json", *lines, "", ""]).encode()


def whole(content: bytes, *lines: str, status: str = "200 OK") -> list[bytes]:
    return [head(f"Content-Length: {len(content)}", *lines, status=status), content]


def chunked(pieces: Iterable[bytes], *lines: str, status: str = "200 OK") -> Iterator[bytes]:
    yield head("Transfer-Encoding: chunked", *lines, status=status)
    for piece in pieces:
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def endless(status: str = "200 OK") -> Iterator[bytes]:
    return chunked(itertools.repeat(PIECE), status=status)


def endless_headers() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    yield from (b"x-%d: %b\r\n" % (number, b"y" * 1000) for number in itertools.count())


@cache
def bomb(times: int = 15) -> bytes:
    """Return gzip of 100 MB for each of ``times``; 100 kB each."""
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packing.compress(PIECE) for _ in range(100)]
    return b"".join([*parts, packing.flush()]) * times


@cache
def deflate_bomb() -> bytes:
    packing = zlib.compressobj(9)
    return b"".join([*(packing.compress(PIECE) for _ in range(300)), packing.flush()])


def settings(url: str, **changes: Any) -> EndpointSettings:
    return EndpointSettings(**{"url": url, "backoff": 0.01, "timeout": 60.0, "patience": 0.0, "attempts": 1, **changes})


def ask(pieces: Callable[[], Iterable[bytes]], **changes: Any) -> Number:
    async def work(url: str) -> Number:
        async with Endpoint(settings(url, **changes)) as endpoint:
            return (await endpoint.post("/things", {}, Number)).value

    with RawServer(pieces) as server:
        return asyncio.run(work(server.url))


def ask_under_load(pieces: Callable[[], Iterable[bytes]]) -> HttpAnswer:
    async def work(url: str) -> HttpAnswer:
        client = HttpClient(url, dict)
        try:
            async with asyncio.timeout(60):
                return await client.post(b"{}")
        finally:
            client.close()

    with RawServer(pieces) as server:
        return asyncio.run(work(server.url))


@contextmanager
def little_memory(most: int = 300_000_000) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gzip", gzip.compress(BODY)),
        ("GZIP", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY)),
        ("deflate", zlib.compress(BODY)),
        ("deflate", zlib.compress(BODY)[2:-4]),
        ("deflate, gzip", gzip.compress(zlib.compress(BODY))),
        ("utf-8", BODY),
        ("gzip", BODY),
        ("", gzip.compress(BODY)),
    ],
    ids=["gzip", "capitals", "x-gzip", "deflate", "bare deflate", "both", "no packing", "not packed", "unasked"],
)
def test_packed_answers_are_read(name: str, content: bytes) -> None:
    assert ask(lambda: whole(content, f"Content-Encoding: {name}")) == Number(1)


def test_no_packing_is_asked_for_that_cannot_be_bounded() -> None:
    with RawServer(lambda: whole(BODY)) as server:

        async def work() -> None:
            async with Endpoint(settings(server.url)) as endpoint:
                await endpoint.post("/things", {}, Number)

        asyncio.run(work())
    (sent,) = server.heads
    assert [line for line in sent.split("\r\n") if line.lower().startswith("accept-encoding")] == [
        "Accept-Encoding: gzip, deflate"
    ]


@pytest.mark.parametrize("name", ["br", "zstd"])
def test_other_packing_is_an_error_with_a_fix(name: str) -> None:
    with pytest.raises(AnswerError, match=f"packed as {name}, which was not asked for") as caught:
        ask(lambda: whole(b"\x0b\x02\x80", f"Content-Encoding: {name}"))
    assert "gzip, deflate" in caught.value.fix
    assert caught.value.where.endswith("/v1/things")


@pytest.mark.parametrize(
    "content", [gzip.compress(BODY)[:-9], gzip.compress(BODY)[:12] + b"????"], ids=["cut", "wrong"]
)
def test_a_damaged_packing_is_an_error(content: bytes) -> None:
    with pytest.raises(AnswerError, match="the answer cannot be unpacked"):
        ask(lambda: whole(content, "Content-Encoding: gzip"))


@pytest.mark.parametrize(
    "pieces",
    [
        endless,
        lambda: whole(bomb(), "Content-Encoding: gzip"),
        lambda: whole(gzip.compress(bomb()), "Content-Encoding: gzip, gzip"),
        lambda: whole(deflate_bomb(), "Content-Encoding: deflate"),
        lambda: [head(f"Content-Length: {10**15}"), *itertools.repeat(PIECE, 100)],
    ],
    ids=["endless", "gzip", "gzip twice", "deflate", "long"],
)
def test_a_large_answer_is_refused_in_little_memory(pieces: Callable[[], Iterable[bytes]]) -> None:
    with little_memory(), pytest.raises(EndpointError, match=r"(has|to) more than 64,000,000") as caught:
        ask(pieces)
    assert SETTING in caught.value.fix
    assert caught.value.fatal
    assert caught.value.where.endswith("/v1/things")


def test_an_answer_packed_unasked_is_bounded_too() -> None:
    with little_memory(), pytest.raises(AnswerError, match="unpack to more than 64,000,000"):
        ask(lambda: whole(bomb()))


def test_endless_headers_are_refused() -> None:
    with pytest.raises(EndpointError):
        ask(endless_headers)


def test_of_an_error_only_the_first_megabyte_is_read() -> None:
    for pieces in (
        lambda: endless("500 Internal Server Error"),
        lambda: whole(bomb(), "Content-Encoding: gzip", status="500 Internal Server Error"),
        lambda: whole(bomb(), status="500 Internal Server Error"),
    ):
        with little_memory(50_000_000), pytest.raises(EndpointError, match="HTTP 500"):
            ask(pieces)


def test_a_setting_raises_the_bound_or_lowers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    large = BODY + b" " * 70_000_000
    monkeypatch.setenv(SETTING, "80MB")
    assert ask(lambda: whole(gzip.compress(large, 1), "Content-Encoding: gzip")) == Number(1)
    assert len(ask_under_load(lambda: whole(large)).content) == len(large)
    monkeypatch.setenv(SETTING, "1MB")
    with pytest.raises(EndpointError, match="more than 1,000,000"):
        ask(lambda: whole(large))
    monkeypatch.setenv(SETTING, "much")
    with pytest.raises(ConfigurationError, match=f"{SETTING}: 'much' is not a size"):
        ask(lambda: whole(BODY))


def test_the_client_of_loads_refuses_large_answers_too() -> None:
    with little_memory():
        with pytest.raises(AnswerTooLargeError, match="the answer has more than 64,000,000 bytes") as caught:
            ask_under_load(endless)
        assert SETTING in caught.value.fix
        with pytest.raises(AnswerTooLargeError, match="headers have more than 100,000 bytes"):
            ask_under_load(endless_headers)
        packed = ask_under_load(lambda: whole(bomb()))
        with pytest.raises(EmbedbenchError, match="unpack to more than 64,000,000"):
            decode_answer("http://h", packed, Number, Secret(""))
        assert "unpack to more than 1,000,000" in server_message(packed, Secret(""))


def test_a_message_deep_inside_an_error_is_looked_for_within_bounds() -> None:
    def nested(depth: int) -> HttpAnswer:
        return HttpAnswer(400, {}, b'{"error":' * depth + b'"why"' + b"}" * depth)

    assert server_message(nested(5), Secret("")) == "why"
    assert len(server_message(nested(900), Secret(""))) < 400


@pytest.mark.parametrize("place", ["query", "headers"])
def test_long_headers_and_addresses_are_refused_before_they_are_searched(place: str) -> None:
    tables: dict[str, Any] = {place: {"a": "a" * 1_000_000}}
    with pytest.raises(ConfigurationError, match=f"{place}: a has 1,000,001 characters"):
        EndpointSettings(url="http://h/v1", **tables)
    with pytest.raises(ConfigurationError, match="address has"):
        EndpointSettings(url="http://h/v1?" + "a" * 1_000_000)
