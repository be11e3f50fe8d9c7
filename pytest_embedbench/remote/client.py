"""Post JSON to an endpoint: bounded concurrency, a retry policy, and secrets that appear in no result or error."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import msgspec

from pytest_embedbench.errors import ConfigurationError, needs_extra
from pytest_embedbench.remote.answers import HttpAnswer, decode_answer, server_message
from pytest_embedbench.remote.bodies import ACCEPTED, max_answer, read_body, unpacked_body
from pytest_embedbench.remote.errors import EndpointError, NotReadyError, PassingError
from pytest_embedbench.remote.fixes import broken_connection_fix, connection_problem
from pytest_embedbench.remote.retries import RetryPolicy
from pytest_embedbench.remote.settings import Credentials, EndpointSettings

if TYPE_CHECKING:
    from types import TracebackType

    import httpx2

T = TypeVar("T")

MAX_REDIRECTS = 3
"""Redirects that one request may follow."""

CONNECT_SECONDS = 15.0
"""Seconds after which a server that takes no connection counts as not there."""


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
        ConfigurationError: the libraries of the extra are not installed, or the key or another secret cannot be sent.
    """

    def __init__(self, settings: EndpointSettings) -> None:
        try:
            import httpx2
        except ImportError as error:
            library = error.name or "httpx2"
            raise needs_extra("http", library, ConfigurationError, where="endpoint") from None
        self.settings = settings
        # Kept, since httpx2 is imported only here: it comes with an extra.
        self._errors = (httpx2.HTTPError, httpx2.InvalidURL)
        self._transport_error = httpx2.TransportError
        self._no_connection = (httpx2.ConnectError, httpx2.ConnectTimeout)
        self._proxy_error = httpx2.ProxyError
        credentials = settings.credentials()
        self._secret, self._parameters = credentials.secret, tuple(credentials.parameters)
        limits = httpx2.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency)
        # Redirects are checked in _redirected. httpx's timeouts are per phase; asyncio limits a request as a whole.
        self._client = httpx2.AsyncClient(
            headers={**credentials.headers, "Accept-Encoding": ACCEPTED},
            auth=_with_parameters(credentials) if credentials.parameters else None,
            limits=limits,
            timeout=httpx2.Timeout(None, connect=min(settings.timeout, CONNECT_SECONDS)),
            follow_redirects=False,
        )
        # Requests wait for these slots and not in httpx's pool, where the wait would count towards their timeout.
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._policy = RetryPolicy(settings)
        self._max_answer = max_answer()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def post(
        self, path: str, payload: Any, kind: type[T], *, divisible: bool = False, tries: int | None = None
    ) -> Reply[T]:
        """Send ``payload`` as JSON to a path of the endpoint, and decode the answer as ``kind``.

        Args:
            path: e.g. ``/embeddings``.
            payload: the body.
            kind: type of the answer's body.
            divisible: whether the caller can send less at a time: then a request that timed out is not sent again, and
                the error has ``timed_out``.
            tries: how often a request that the server fails on (HTTP 500) is sent, at most; None for the settings'
                ``attempts``.

        Raises:
            EndpointError: the request was refused, or no usable answer came within the limits of the settings.
        """
        body = msgspec.json.encode(payload)  # once for all attempts
        attempts = 0

        async def attempt() -> Reply[T]:
            nonlocal attempts
            attempts += 1
            # The time starts after the waits, which belong to the retry policy and not to the server.
            started = time.perf_counter()
            url, answer = await self._send(self.settings.address(path), body)
            seconds = time.perf_counter() - started
            headers = {name.lower(): self._secret.redacted(value) for name, value in answer.headers.items()}
            value = decode_answer(url, answer, kind, self._secret)
            return Reply(value, headers, seconds, attempts)

        async with self._slots:
            return await self._policy.call(attempt, divisible=divisible, tries=tries)

    async def _send(self, url: str, body: bytes) -> tuple[str, HttpAnswer]:
        """Return the address that answered, without secrets, and its answer."""
        try:
            async with asyncio.timeout(self.settings.timeout):
                request = self._client.build_request(
                    "POST", url, content=body, headers={"Content-Type": "application/json"}
                )
                for _ in range(MAX_REDIRECTS + 1):
                    response = await self._client.send(request, stream=True)
                    answer = await self._whole(response)
                    if response.next_request is None:
                        self._check_status(response, answer)
                        return self._shown(response.url), answer
                    request = self._redirected(request, response.next_request)
        except TimeoutError:
            raise PassingError(f"no answer within {self.settings.timeout:g} s", where=url, timed_out=True) from None
        except self._errors as error:
            # From None: the original error holds the request, and with it the key.
            raise self._failure(error, url) from None
        raise EndpointError(f"more than {MAX_REDIRECTS} redirects", where=url, fatal=True)

    async def _whole(self, response: httpx2.Response) -> HttpAnswer:
        """Read the answer that has begun, within bounds."""
        succeeded = response.is_success
        try:
            sent = await read_body(response.aiter_raw(), self._max_answer, succeeded=succeeded)
            content = unpacked_body(sent, response.headers, self._max_answer, succeeded=succeeded)
        except EndpointError as error:
            error.where, error.status = self._shown(response.url), response.status_code
            raise
        finally:
            await response.aclose()
        return HttpAnswer(response.status_code, response.headers, content)

    def _failure(self, error: Exception, url: str) -> EndpointError:
        """Return the error for a request that got no answer."""
        problem = self._secret.redacted(f"{type(error).__name__}: {error}".rstrip(": "))
        if isinstance(error, (*self._no_connection, self._proxy_error)):
            meaning, fix, final = connection_problem(error, self.settings)
            problem = meaning or problem
            if final or not self._policy.worked:
                return EndpointError(problem, where=url, fix=fix, fatal=True)
            return NotReadyError(problem, where=url)
        if isinstance(error, self._transport_error):
            worked = self._policy.worked
            fix = "" if worked else broken_connection_fix(self.settings)
            return PassingError(problem, where=url, fix=fix, dropped=worked)
        return EndpointError(problem, where=url, fatal=True)

    def _redirected(self, request: httpx2.Request, target: httpx2.Request) -> httpx2.Request:
        """Return the request of a redirect to the same server.

        Raises:
            EndpointError: it leads to another server, which must get neither the key nor the texts, or is not a POST.
        """
        old, new = request.url, target.url
        if (old.scheme, old.host, old.port) != (new.scheme, new.host, new.port):
            server = self._secret.redacted(f"{new.scheme}://{new.host}" + (f":{new.port}" if new.port else ""))
            fix = f"if that is the right address, give it in place of {self.settings.address('')}"
            raise EndpointError(
                f"redirects to another host, {server}: refused", where=self._shown(old), fix=fix, fatal=True
            )
        if target.method != "POST":
            path = self._secret.redacted(str(new.path))
            problem = f"redirects to {path} in a way that drops the request; is the address right?"
            raise EndpointError(problem, where=self._shown(old), fatal=True)
        # The client's own parameters come with each request anyway; here they would show in tracebacks.
        for name in self._parameters:
            target.url = target.url.copy_remove_param(name)
        return target

    def _shown(self, url: httpx2.URL) -> str:
        """Return an address without its query, and without the key, which a redirect may have put there."""
        return self._secret.redacted(str(url.copy_with(query=None)))

    def _check_status(self, response: httpx2.Response, answer: HttpAnswer) -> None:
        if not response.is_success:
            message = server_message(answer, self._secret)
            raise self._policy.status_error(answer, message, self._shown(response.url))


def _with_parameters(credentials: Credentials) -> Callable[[httpx2.Request], httpx2.Request]:
    """Return a function that gives a copy of a request with the query's parameters.

    httpx calls it when it sends the request. So the request that this module holds, and that a traceback with local
    variables would show, has no secret in its address.
    """

    def added(request: httpx2.Request) -> httpx2.Request:
        return type(request)(
            request.method,
            request.url.copy_merge_params(credentials.parameters),
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )

    return added
