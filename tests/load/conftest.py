"""A server in a thread of its own, whose answers the test chooses byte by byte."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

ServedRequest = Callable[[dict[str, Any]], bytes]
"""Function from a request's JSON to the bytes of the answer; no bytes close the connection without an answer."""


def answer(body: bytes, *headers: str, status: str = "200 OK", kind: str = "application/json") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def embeddings(request: dict[str, Any], *headers: str, size: int = 3) -> bytes:
    """Vectors whose first number is the length of their text."""
    vectors = [[float(len(text)), *[0.5] * (size - 1)] for text in request["input"]]
    data = [{"embedding": vector, "index": index} for index, vector in enumerate(vectors)]
    tokens = sum(len(text.split()) for text in request["input"])
    return answer(json.dumps({"data": data, "usage": {"prompt_tokens": tokens}}).encode(), *headers)


class Server:
    """Server that answers with ``reply``, and records its requests and their connections."""

    def __init__(self) -> None:
        self.reply: ServedRequest = embeddings
        self.seconds: Callable[[], float] = lambda: 0.0
        self.close_after = False
        self.heads: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.connections = self.under_way = self.peak = 0
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.lower().split("content-length:")[1].split("\r\n")[0])
                request = json.loads(await reader.readexactly(length))
                self.heads.append(head)
                self.requests.append(request)
                self.under_way += 1
                self.peak = max(self.peak, self.under_way)
                await asyncio.sleep(self.seconds())
                self.under_way -= 1
                sent = self.reply(request)
                writer.write(sent)
                await writer.drain()
                if self.close_after or not sent:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a server that gives vectors."""
    result = Server()
    loop = asyncio.new_event_loop()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(result.handle, "127.0.0.1", 0)

    async def end() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listening = asyncio.run_coroutine_threadsafe(start(), loop).result()
    result.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    yield result
    loop.call_soon_threadsafe(listening.close)
    asyncio.run_coroutine_threadsafe(end(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
