"""Measure the capacity of the load's HTTP client: requests a second against a server that does nothing but answer."""

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

CALIBRATION_SECONDS = 0.5
"""Seconds for which the client is loaded."""

NULL_SERVER = Path(__file__).with_name("null_server.py")


@contextmanager
def null_server(texts: int, dimensions: int) -> Iterator[str]:
    """Run a null server in a process of its own and yield its address.

    Args:
        texts: vectors in each answer.
        dimensions: length of each vector.
    """
    # -I keeps the environment and the working folder from putting other modules in place of the standard library's.
    command = [sys.executable, "-I", str(NULL_SERVER), str(texts), str(dimensions)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:  # noqa: S603 - our own file
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1/embeddings"
        finally:
            process.kill()


async def capacity_per_s(url: str, body: bytes, read: Callable[[HttpAnswer], object], clients: int) -> float:
    """Return the requests a second that clients reach in a closed loop.

    Args:
        url: address of a null server.
        body: body of every request.
        read: called with each answer, as the load's client reads the answers of its server.
        clients: requests in flight.
    """
    client = HttpClient(url, lambda: {"Content-Type": "application/json"})
    await asyncio.gather(*(client.post(body) for _ in range(clients)))  # opens the connections, before time counts
    count, start = 0, time.perf_counter()

    async def send_until_time_is_up() -> None:
        nonlocal count
        while time.perf_counter() - start < CALIBRATION_SECONDS:
            # No answer takes so long; the session must not hang if the null server does.
            async with asyncio.timeout(CALIBRATION_SECONDS * 10):
                answer = await client.post(body)
            read(answer)
            count += 1

    await asyncio.gather(*(send_until_time_is_up() for _ in range(clients)))
    seconds = time.perf_counter() - start
    client.close()
    return count / seconds
