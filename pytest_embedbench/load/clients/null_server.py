"""A server that does nothing but answer, to measure how fast a load client is: ``python null_server.py TEXTS SIZE``.

It prints its port, and answers every request with the same TEXTS vectors of SIZE dimensions until its standard input
ends. It imports nothing of the package, so that it starts at once.
"""

from __future__ import annotations

import asyncio
import signal
import sys

HEAD_END = b"\r\n\r\n"
LENGTH_HEADER = b"content-length:"


class NullProtocol(asyncio.Protocol):
    """Protocol that only finds the end of each request, and answers it."""

    def __init__(self, answer: bytes) -> None:
        self._answer, self._data = answer, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what asyncio promises for TCP
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(HEAD_END)) >= 0:
            head = self._data[:end].lower()
            length = int(head[head.index(LENGTH_HEADER) + len(LENGTH_HEADER) :].split(b"\r\n", 1)[0])
            whole = end + len(HEAD_END) + length
            if len(self._data) < whole:
                return
            self._data = self._data[whole:]
            self._transport.write(self._answer)


def answer(texts: int, size: int) -> bytes:
    """Return an HTTP answer of ``/embeddings``: a vector of ``size`` dimensions for each of ``texts`` texts."""
    vector = ",".join(["0.0123456"] * size)
    items = ",".join(f'{{"object":"embedding","index":{index},"embedding":[{vector}]}}' for index in range(texts))
    body = f'{{"object":"list","data":[{items}],"usage":{{"prompt_tokens":{texts},"total_tokens":{texts}}}}}'
    return f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


async def serve(texts: int, size: int) -> None:
    """Serve until standard input ends, which happens at the latest when the process that reads the port ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches it too; a traceback would stand in pytest's output
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: NullProtocol(answer(texts, size)), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
