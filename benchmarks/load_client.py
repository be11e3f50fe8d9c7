"""Measure the cost of the load client for endpoints: requests a second against a server that only answers.

Client and server are one process each. Answers hold one vector of 4 dimensions (the cost of the client alone), or of
384 or 1,024 (with the cost of reading numbers). A load at some rate is measured accurately as long as
the client needs only a small part of a core for it.

    python benchmarks/load_client.py
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
from tabulate import tabulate

from pytest_embedbench.load.clients.calibration import capacity_per_s, null_server
from pytest_embedbench.remote.answers import HttpAnswer
from pytest_embedbench.remote.embeddings import Embeddings, request_body

GOAL = 5000
BODY = msgspec.json.encode(request_body("m", ["what do whales breathe through"], dimensions=None, encoding="float"))


def read(answer: HttpAnswer) -> object:
    return msgspec.json.decode(answer.content, type=Embeddings).vectors(1)


def measured(dimensions: int, clients: int, done: Callable[[HttpAnswer], object]) -> dict[str, object]:
    with null_server(1, dimensions) as url:
        used = time.process_time()
        rate = asyncio.run(capacity_per_s(url, BODY, done, clients))
        used = time.process_time() - used
    return {"dimensions": dimensions, "clients": clients, "requests/s": rate, "of a core": used / 0.5}


def main() -> None:
    rows = [measured(dimensions, clients, read) for dimensions in (4, 384, 1024) for clients in (1, 16, 64)]
    print(tabulate(rows, headers="keys", floatfmt=",.2f", intfmt=","))
    slowest = min(float(str(row["requests/s"])) for row in rows if row["dimensions"] == 4 and row["clients"] != 1)  # noqa: PLR2004
    print(f"null server: {slowest:,.0f} requests/s ({GOAL:,} wanted)")


if __name__ == "__main__":
    main()
