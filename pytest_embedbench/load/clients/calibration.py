"""What the HTTP client of a load can do: requests a second against a server that does nothing but answer."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_embedbench.load.clients.http import HttpClient
from pytest_embedbench.remote.answers import HttpAnswer

SECONDS = 0.5
"""For which it is loaded."""

NULL_SERVER = Path(__file__).with_name("null_server.py")


@contextmanager
def null_server(texts: int, dimensions: int) -> Iterator[str]:
    """The address of a null server in a process of its own, whose answers hold so many vectors."""
    command = [sys.executable, "-I", str(NULL_SERVER), str(texts), str(dimensions)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own file
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1/embeddings"
        finally:
            process.kill()


async def capacity_per_s(url: str, body: bytes, read: Callable[[HttpAnswer], object], clients: int) -> float:
    """Requests a second that so many clients bring about, each sending its next one when the last was answered.

    Args:
        url: of a null server.
        body: of every request.
        read: what is done with each answer.
        clients: requests under way.
    """
    client = HttpClient(url, lambda: {"Content-Type": "application/json"})
    await asyncio.gather(*(client.post(body) for _ in range(clients)))  # opens the connections
    count, start = 0, time.perf_counter()

    async def one() -> None:
        nonlocal count
        while time.perf_counter() - start < SECONDS:
            async with asyncio.timeout(SECONDS * 10):
                answer = await client.post(body)
            read(answer)
            count += 1

    await asyncio.gather(*(one() for _ in range(clients)))
    seconds = time.perf_counter() - start
    client.close()
    return count / seconds
