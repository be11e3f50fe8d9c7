"""The load's HTTP client: connections kept open, answers in every form, and errors of broken ones."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.load.clients.calibration import NULL_SERVER, capacity_per_s, null_server
from pytest_embedbench.load.clients.http import ConnectionLostError, HttpClient
from pytest_embedbench.load.clients.null_server import answer as null_answer
from tests.load.conftest import answer

if TYPE_CHECKING:
    from pytest_embedbench.remote.answers import HttpAnswer
    from tests.load.conftest import Server

KEY = "sk-0123456789abcdef"
BODY = json.dumps({"input": ["é whale"]}).encode()


def post(
    server: Server, *, times: int = 1, at_once: int = 1, key: str = KEY, path: str = "embeddings"
) -> tuple[list[HttpAnswer], HttpClient]:
    client = HttpClient(f"{server.url}/{path}", lambda: {"Authorization": f"Bearer {key}"})

    async def work() -> list[HttpAnswer]:
        try:
            rounds = [await asyncio.gather(*(client.post(BODY) for _ in range(at_once))) for _ in range(times)]
            return list(itertools.chain(*rounds))
        finally:
            client.close()

    return asyncio.run(work()), client


def test_a_request_is_whole(server: Server) -> None:
    (got,), _ = post(server)
    assert (got.status, got.headers["content-type"]) == (200, "application/json")
    assert json.loads(got.content)["data"][0]["embedding"][0] == 7
    assert server.requests == [{"input": ["é whale"]}]
    host = server.url.removeprefix("http://").removesuffix("/v1")
    assert server.heads[0].split("\r\n")[:4] == [
        "POST /v1/embeddings HTTP/1.1", f"Host: {host}", "Accept: */*", f"Authorization: Bearer {KEY}",
    ]  # fmt: skip


def test_an_address_and_a_key_may_hold_percent_signs(server: Server) -> None:
    key = "ab%cd%d%%"
    (got,), _ = post(server, key=key, path="a%20b%2Fc/embeddings")
    assert got.status == 200
    assert f"Authorization: Bearer {key}" in server.heads[0]
    assert server.heads[0].startswith("POST /v1/a%20b%2Fc/embeddings HTTP/1.1")


def test_connections_are_used_again(server: Server) -> None:
    server.seconds = lambda: 0.01
    answers, client = post(server, times=5, at_once=4)
    assert len(answers) == 20
    assert client.opened == server.connections == 4


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde",
        b"HTTP/1.0 200 OK\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde",
    ],
    ids=["chunks", "a length", "until the end", "a last answer"],
)
def test_answers_come_in_several_forms(server: Server, raw: bytes) -> None:
    server.reply = lambda _: raw
    server.close_after = raw.startswith(b"HTTP/1.0")
    answers, client = post(server, times=3)
    assert [one.content for one in answers] == [b"abcde"] * 3
    assert client.opened == (3 if server.close_after or b"close" in raw else 1)


def test_a_connection_that_was_closed_meanwhile_is_not_an_error(server: Server) -> None:
    """The server closes every connection after its answer without announcing it, as after an idle time."""
    server.close_after = True
    answers, client = post(server, times=4)
    assert [one.status for one in answers] == [200] * 4
    assert client.opened == 4


def test_a_server_that_never_answers_is_an_error_and_not_an_endless_loop(server: Server) -> None:
    server.reply = lambda _: b""
    with pytest.raises(ConnectionLostError, match=r"the server closed the connection$"):
        post(server)


def test_half_an_answer_is_an_error(server: Server) -> None:
    server.reply = lambda _: answer(b"abcde")[:-2]
    server.close_after = True
    with pytest.raises(ConnectionLostError, match="in the middle of an answer"):
        post(server)


def test_what_is_not_http_is_an_error(server: Server) -> None:
    server.reply = lambda _: b"SSH-2.0-OpenSSH_9.6\r\n"
    with pytest.raises(OSError, match="the answer is not HTTP"):
        post(server)


def test_no_connection_is_an_error() -> None:
    client = HttpClient("http://127.0.0.1:1/v1/embeddings", dict)
    with pytest.raises(OSError, match=r"refused|failed"):
        asyncio.run(client.post(b"{}"))


def test_a_cancelled_request_leaves_no_answer_for_the_next_one(server: Server) -> None:
    waits = iter([0.2, 0.0, 0.0])
    server.seconds = lambda: next(waits)
    counted = itertools.count()
    server.reply = lambda _: answer(str(next(counted)).encode())
    client = HttpClient(f"{server.url}/embeddings", dict)

    async def work() -> list[bytes]:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.post(BODY)
        got = [(await client.post(BODY)).content for _ in range(2)]
        client.close()
        return got

    assert asyncio.run(work()) == [b"0", b"1"]
    assert client.opened == 2


def test_an_answer_does_not_print_what_is_in_it(server: Server) -> None:
    server.reply = lambda _: answer(KEY.encode(), f"X-Echo: {KEY}")
    (got,), _ = post(server)
    assert KEY.encode() in got.content
    assert KEY not in repr(got)


def test_the_null_server_answers_what_an_endpoint_would() -> None:
    body = json.loads(null_answer(2, 5).partition(b"\r\n\r\n")[2])
    assert [len(item["embedding"]) for item in body["data"]] == [5, 5]
    assert [item["index"] for item in body["data"]] == [0, 1]


def test_what_the_client_can_do_is_measured() -> None:
    seen: list[int] = []
    with null_server(2, 5) as url:
        rate = asyncio.run(capacity_per_s(url, BODY, lambda answer: seen.append(len(answer.content)), 4))
    assert rate > 0
    assert set(seen) == {len(null_answer(2, 5).partition(b"\r\n\r\n")[2])}


def test_the_null_server_leaves_interrupts_to_pytest_and_ends_with_it() -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-I", str(NULL_SERVER), "1", "1"]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout
        assert int(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)  # closes its standard input
    assert (process.returncode, errors) == (0, b"")
