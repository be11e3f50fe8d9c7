"""A server that does nothing but answer, to measure what a load client can do: ``python null_server.py TEXTS SIZE``.

It prints its port, and answers every request with the same vectors, so many of so many dimensions, until its standard
input ends.
"""

from __future__ import annotations

import asyncio
import sys

END = b"\r\n\r\n"
LENGTH = b"content-length:"


class Answering(asyncio.Protocol):
    """Finds where requests end, and looks at nothing else."""

    def __init__(self, answer: bytes) -> None:
        self._answer, self._data = answer, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what asyncio promises for TCP
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(END)) >= 0:
            head = self._data[:end].lower()
            length = int(head[head.index(LENGTH) + len(LENGTH) :].split(b"\r\n", 1)[0])
            whole = end + len(END) + length
            if len(self._data) < whole:
                return
            self._data = self._data[whole:]
            self._transport.write(self._answer)


def answer(texts: int, size: int) -> bytes:
    """An answer of ``/embeddings`` for so many texts, vectors of ``size`` dimensions."""
    vector = ",".join(["0.0123456"] * size)
    items = ",".join(f'{{"object":"embedding","index":{index},"embedding":[{vector}]}}' for index in range(texts))
    body = f'{{"object":"list","data":[{items}],"usage":{{"prompt_tokens":{texts},"total_tokens":{texts}}}}}'
    return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def serve(texts: int, size: int) -> None:
    """Serve until standard input ends: with the process that reads the port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(answer(texts, size)), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
