"""An embedding server in a thread, whose vectors count hashed words, and which mixes them up as it is told to."""

from __future__ import annotations

import json
import re
import threading
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import numpy as np

DIMENSIONS = 64
TOGETHER_SECONDS = 0.02
"""Seconds that a request waits for another one to come, so that requests sent together are in flight together."""


class Refusal(Exception):  # noqa: N818 - an answer
    """Another answer than vectors: its status, and its body as JSON."""

    def __init__(self, status: int, body: object) -> None:
        self.status, self.body = status, body
        super().__init__()


Rows = list[np.ndarray]
Fault = Callable[["ToyEndpoint", list[str], Rows, bool], Rows]
"""Function from the server, a request's texts, their vectors, and whether it is busy, to the vectors that it sends; it may
raise ``Refusal``."""


def honest(_: ToyEndpoint, __: list[str], rows: Rows, ___: bool) -> Rows:
    return rows


def mixes_up(_: ToyEndpoint, __: list[str], rows: Rows, busy: bool) -> Rows:
    """Give each text its neighbour's vector while other requests are in flight."""
    return rows[1:] + rows[:1] if busy else rows


def vector(text: str) -> np.ndarray:
    counts = np.zeros(DIMENSIONS)
    for word in re.findall(r"\w+", text.lower()):
        counts[zlib.crc32(word.encode()) % DIMENSIONS] += 1
    counts[0] += 0.01
    return counts / np.linalg.norm(counts)


class ToyEndpoint:
    """The server; use it as a context manager. ``sizes`` has the number of texts of each request so far."""

    def __init__(self, fault: Fault = honest) -> None:
        self.fault = fault
        self.sizes: list[int] = []
        self.before: list[str] = []
        """Texts of the last request that was answered."""
        self._in_flight = 0
        self._others = threading.Condition()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
                tokens = sum(len(text.split()) for text in texts)
                try:
                    rows = [row.tolist() for row in endpoint.answer(texts)]
                except Refusal as refusal:
                    status, said = refusal.status, refusal.body
                else:
                    data = [{"index": index, "embedding": row} for index, row in enumerate(rows)]
                    status, said = 200, {"data": data, "usage": {"prompt_tokens": tokens}}
                body = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def answer(self, texts: list[str]) -> Rows:
        with self._others:
            self.sizes.append(len(texts))
            self._in_flight += 1
            self._others.notify_all()
            busy = self._others.wait_for(lambda: self._in_flight > 1, TOGETHER_SECONDS)
            try:
                rows = self.fault(self, texts, [vector(text) for text in texts], busy)
            finally:
                self.before = texts
                self._in_flight -= 1
        return rows

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
