"""An HTTP/1.1 client that costs little: asyncio's connections, kept open, and the parser of llhttp (``httptools``).

A load client must be much cheaper than the server that it measures. A request takes about a millisecond of a core
through httpx, a fifth of that through aiohttp, a twentieth through this client. It has only what a load needs: POST and
whole answers; neither redirects nor proxies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from pytest_embedbench.errors import ConfigurationError, needs_extra
from pytest_embedbench.remote.answers import HttpAnswer
from pytest_embedbench.remote.bodies import MAX_HEADERS, TOO_LARGE_FIX, max_answer, too_large

if TYPE_CHECKING:
    import ssl


class ConnectionLostError(Exception):
    """The server closed the connection before its answer was complete; ``answering`` says whether it had begun."""

    def __init__(self, *, answering: bool) -> None:
        self.answering = answering
        super().__init__("the server closed the connection" + (" in the middle of an answer" if answering else ""))


class AnswerTooLargeError(OSError):
    """An answer with more bytes, or larger headers, than it may have; ``fix`` says what to do."""

    fix = TOO_LARGE_FIX


class HttpClient:
    """Client that posts to one address; each request in flight has a connection, which later requests use again.

    Args:
        url: the address.
        headers: returns the headers of every request. A function, since tracebacks would show the headers themselves,
            with the key among them.
        query: returns the address's query; a function for the same reason.

    Raises:
        ConfigurationError: the libraries of the extra ``http`` are not installed.
    """

    def __init__(
        self, url: str, headers: Callable[[], Mapping[str, str]], query: Callable[[], str] = lambda: ""
    ) -> None:
        try:
            import httptools
        except ImportError as error:
            raise needs_extra("http", error.name or "httptools", ConfigurationError, where="endpoint") from None
        self._parser = httptools.HttpResponseParser
        parts = urlsplit(url)
        self._host, self._tls = parts.hostname or "", _tls() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        # "%" is safe: a path that is quoted already must not be quoted again.
        target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
        end = f" HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: */*\r\n"
        # The length is appended and not formatted in: an address or a key may hold a "%".
        self._head = _target(target, query()) + end.encode("ascii") + _lines(headers()) + b"Content-Length: "
        self._max_answer = max_answer()
        self._idle: list[_Connection] = []
        self.opened = 0
        """Connections that were opened so far."""

    async def post(self, body: bytes) -> HttpAnswer:
        """Send a request and return its answer once that is complete.

        If the server had closed an idle connection in the meantime, the request is sent again over another one.

        Raises:
            OSError: no connection, or the answer is not HTTP, or it is too large (``AnswerTooLargeError``).
            ConnectionLostError: the connection broke.
        """
        request = self._head + b"%d\r\n\r\n" % len(body) + body
        while self._idle:
            # The one that was used last is the least likely to have been closed meanwhile.
            connection = self._idle.pop()
            if connection.open:
                try:
                    return await self._over(connection, request)
                except ConnectionLostError as error:
                    # Without a byte of an answer the connection was most likely closed while idle: try the next one.
                    if error.answering:
                        raise
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self._parser, self._max_answer), self._host, self._port, ssl=self._tls
        )
        self.opened += 1
        return await self._over(connection, request)

    async def _over(self, connection: _Connection, request: bytes) -> HttpAnswer:
        try:
            answer = await connection.ask(request)
        except BaseException:  # the answer to a cancelled request may still arrive: do not use the connection again
            connection.close()
            raise
        if connection.open:
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close the connections that no request uses."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()


class _Connection(asyncio.Protocol):
    """One connection, with one request at a time; the parser calls the methods ``on_...``."""

    def __init__(self, parser: Any, max_answer: int) -> None:
        self._new_parser, self._max_answer = parser, max_answer
        self._answer: asyncio.Future[HttpAnswer] | None = None
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self.open = True

    def ask(self, request: bytes) -> asyncio.Future[HttpAnswer]:
        self._answer = asyncio.get_running_loop().create_future()
        self._begun = self._headed = False
        self._headers: dict[str, str] = {}
        self._content: list[bytes] = []
        self._left, self._headers_left = self._max_answer, MAX_HEADERS
        self._parser = self._new_parser(self)
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self.open = False
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._begun = True
        if self._answer is None or self._answer.done():
            self.close()  # data that no request waits for
            return
        try:
            self._parser.feed_data(data)
        except Exception as error:  # noqa: BLE001 - the parser raises many classes
            self.close()
            if not self._answer.done():
                self._answer.set_exception(OSError(f"the answer is not HTTP: {error}"))

    def connection_lost(self, _: Exception | None) -> None:
        self.open = False
        if self._answer is None or self._answer.done():
            return
        if self._headed and not self._headers.keys() & {"content-length", "transfer-encoding"}:
            # An answer without a length ends with its connection (RFC 9112, 6.3).
            self.on_message_complete()
        else:
            self._answer.set_exception(ConnectionLostError(answering=self._begun))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers_left -= len(name) + len(value)
        if self._headers_left < 0:
            self._refuse(f"the answer's headers have more than {MAX_HEADERS:,} bytes")
        else:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._headed = True

    def on_body(self, part: bytes) -> None:
        self._left -= len(part)
        if self._left < 0:
            self._refuse(too_large(self._max_answer))
        else:
            self._content.append(part)

    def _refuse(self, problem: str) -> None:
        self.close()
        self._content.clear()
        if self._answer and not self._answer.done():
            self._answer.set_exception(AnswerTooLargeError(problem))

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        if self._answer and not self._answer.done():
            answer = HttpAnswer(self._parser.get_status_code(), self._headers, b"".join(self._content))
            self._answer.set_result(answer)


def _target(path: str, query: str) -> bytes:
    return f"POST {path}{'?' if query else ''}{query}".encode("ascii")


def _lines(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("ascii")


def _tls() -> ssl.SSLContext:
    """Return a TLS context that trusts the same certificates as the endpoint's other client."""
    import httpx2

    return httpx2.create_ssl_context()
