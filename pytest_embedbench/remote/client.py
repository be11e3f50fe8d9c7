"""Post JSON to an endpoint: bounded concurrency, a retry policy, and an API key that appears in no result or error."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import msgspec

from pytest_embedbench.errors import ConfigurationError, needs_extra
from pytest_embedbench.remote.answers import HttpAnswer, decode_answer, server_message
from pytest_embedbench.remote.errors import EndpointError, TransientError
from pytest_embedbench.remote.retries import RetryPolicy
from pytest_embedbench.remote.settings import EndpointSettings

if TYPE_CHECKING:
    from types import TracebackType

    import httpx2

T = TypeVar("T")

MAX_REDIRECTS = 3
"""Redirects that one request may follow."""


@dataclass(frozen=True)
class Reply(Generic[T]):
    """An answer: its decoded body, its headers (names in lower case), and the seconds of the successful attempt."""

    value: T
    headers: dict[str, str]
    seconds: float
    attempts: int


class Endpoint:
    """A client for one endpoint; use it as ``async with Endpoint(settings) as endpoint``, in one event loop.

    Raises:
        ConfigurationError: the libraries of the extra are not installed, or the key cannot be sent.
    """

    def __init__(self, settings: EndpointSettings) -> None:
        try:
            import httpx2
            import tenacity  # noqa: F401 - used by RetryPolicy; both come with the same extra
        except ImportError as error:
            library = error.name or "httpx2"
            raise needs_extra("http", library, ConfigurationError, where="endpoint") from None
        self.settings = settings
        # Kept, since httpx2 is imported only here: it comes with an extra.
        self._errors = (httpx2.HTTPError, httpx2.InvalidURL)
        self._transport_error = httpx2.TransportError
        self._key = settings.api_key()
        limits = httpx2.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency)
        # Redirects are checked in _redirected. httpx's timeouts are per phase; asyncio limits a request as a whole.
        self._client = httpx2.AsyncClient(
            headers=self._key.headers(), limits=limits, timeout=httpx2.Timeout(None), follow_redirects=False
        )
        # Requests wait for these slots and not in httpx's pool, where the wait would count towards their timeout.
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._policy = RetryPolicy(settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def post(self, path: str, payload: Any, kind: type[T]) -> Reply[T]:
        """Send ``payload`` as JSON to a path of the endpoint, and decode the answer as ``kind``.

        Raises:
            EndpointError: the request was refused, or no usable answer came within the limits of the settings.
        """
        body = msgspec.json.encode(payload)  # once for all attempts
        attempts = 0

        async def attempt() -> Reply[T]:
            nonlocal attempts
            attempts += 1
            await self._policy.wait_for_server()
            # The time starts after the waits, which belong to the retry policy and not to the server.
            started = time.perf_counter()
            response = await self._send(self.settings.address(path), body)
            seconds = time.perf_counter() - started
            headers = {name.lower(): self._key.redacted(value) for name, value in response.headers.items()}
            value = decode_answer(str(response.url), _answer(response), kind, self._key)
            return Reply(value, headers, seconds, attempts)

        async with self._slots:
            return await self._policy.call(attempt)

    async def _send(self, url: str, body: bytes) -> httpx2.Response:
        try:
            async with asyncio.timeout(self.settings.timeout):
                request = self._client.build_request(
                    "POST", url, content=body, headers={"Content-Type": "application/json"}
                )
                for _ in range(MAX_REDIRECTS + 1):
                    response = await self._client.send(request)
                    if response.next_request is None:
                        self._check_status(response)
                        return response
                    request = self._redirected(request, response.next_request)
        except TimeoutError:
            raise TransientError(f"no answer within {self.settings.timeout:g} s", where=url) from None
        except self._errors as error:
            problem = self._key.redacted(f"{type(error).__name__}: {error}".rstrip(": "))
            kind = TransientError if isinstance(error, self._transport_error) else EndpointError
            # From None: the original error holds the request, and with it the key.
            raise kind(problem, where=self._key.redacted(url)) from None
        raise EndpointError(f"more than {MAX_REDIRECTS} redirects", where=url, fatal=True)

    def _redirected(self, request: httpx2.Request, target: httpx2.Request) -> httpx2.Request:
        """Return the request of a redirect to the same server.

        Raises:
            EndpointError: it leads to another server, which must get neither the key nor the texts, or is not a POST.
        """
        old, new = request.url, target.url
        if (old.scheme, old.host, old.port) != (new.scheme, new.host, new.port):
            server = self._key.redacted(f"{new.scheme}://{new.host}" + (f":{new.port}" if new.port else ""))
            raise EndpointError(f"redirects to another host, {server}: refused", where=self._shown(old), fatal=True)
        if target.method != "POST":
            path = self._key.redacted(str(new.path))
            problem = f"redirects to {path} in a way that drops the request; is the address right?"
            raise EndpointError(problem, where=self._shown(old), fatal=True)
        return target

    def _shown(self, url: httpx2.URL) -> str:
        """Return an address without the key, which a redirect may have put there."""
        return self._key.redacted(str(url))

    def _check_status(self, response: httpx2.Response) -> None:
        if response.is_success:
            return
        status = response.status_code
        problem = f"HTTP {status}: {server_message(_answer(response), self._key)}"
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN} and not self._key:
            name = self.settings.api_key_env
            problem += f" (no API key was sent: {f'{name} is not set' if name else 'no variable is named'})"
        raise self._policy.status_error(status, response.headers.get("Retry-After"), problem, self._shown(response.url))


def _answer(response: httpx2.Response) -> HttpAnswer:
    return HttpAnswer(response.status_code, response.headers, response.content)
