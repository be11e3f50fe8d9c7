"""An embedding server in a thread that is not ready at first, wants a header or a query, or stops, as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

from tests.support.toy_endpoint import vector


class Refusal(NamedTuple):
    """An answer with an error status."""

    status: int
    message: str = "no"
    headers: Mapping[str, str] = {}


class Seen(NamedTuple):
    """A request: its path, its query, its headers (names in lower case) and its body."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, object]


class Gateway:
    """The server; use it as a context manager.

    Each request takes the next of ``refusals``; when none is left, ``wants`` decides: the query's parameters and headers
    that a request must have. Without them the answer is 401, and echoes all that came.
    """

    def __init__(self, *refusals: Refusal, query: Mapping[str, str] = {}, headers: Mapping[str, str] = {}) -> None:
        self.refusals = list(refusals)
        self.query, self.headers = query, headers
        self.seen: list[Seen] = []
        self.stop_after: int | None = None
        """Answers after which the server stops."""
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                parts = urlsplit(self.path)
                seen = Seen(
                    parts.path,
                    dict(parse_qsl(parts.query)),
                    {name.lower(): value for name, value in self.headers.items()},
                    json.loads(self.rfile.read(int(self.headers["Content-Length"]))),
                )
                gateway.seen.append(seen)
                self.say(*gateway.answer(seen, self.path))

            def say(self, status: int, body: object, headers: Mapping[str, str]) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                if gateway.stop_after is not None:
                    gateway.stop_after -= 1
                    if gateway.stop_after <= 0:
                        self.close_connection = True
                        gateway.stop()

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self._server = Server(("127.0.0.1", 0), Handler)
        self._running = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def answer(self, seen: Seen, address: str) -> tuple[int, object, Mapping[str, str]]:
        if self.refusals:
            refusal = self.refusals.pop(0)
            return refusal.status, {"error": {"message": refusal.message}}, refusal.headers
        if not (self.query.items() <= seen.query.items() and self.headers.items() <= seen.headers.items()):
            came = f"{address} {json.dumps(seen.headers)}"
            return 401, {"error": {"message": f"denied: {came}"}}, {"X-Echo": came}
        texts = seen.body["input"]
        assert isinstance(texts, list)
        data = [{"index": index, "embedding": vector(text).tolist()} for index, text in enumerate(texts)]
        return 200, {"data": data, "usage": {"prompt_tokens": sum(len(text.split()) for text in texts)}}, {}

    def stop(self) -> None:
        """Take no connection from now on."""
        if self._running:
            self._running = False
            self._server.socket.close()
            threading.Thread(target=self._server.shutdown, daemon=True).start()

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
