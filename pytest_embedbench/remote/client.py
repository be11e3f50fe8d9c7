"""Post JSON to an endpoint: bounded concurrency, retries within a budget, and the key in nothing that comes out."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Self, TypeVar

import msgspec

from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.remote.answers import HttpAnswer, decoded, server_message
from pytest_embedbench.remote.errors import EndpointError, TransientError
from pytest_embedbench.remote.retries import retry_after_seconds
from pytest_embedbench.remote.settings import EndpointSettings

if TYPE_CHECKING:
    from types import TracebackType

    import httpx2
    from tenacity import RetryCallState

T = TypeVar("T")

LONGEST_BACKOFF = 30.0
"""Seconds; what doubling the wait ends at."""
MOST_REDIRECTS = 3
REQUEST_TIMEOUT, TOO_MANY_REQUESTS, SERVER_ERROR = 408, 429, 500
OF_THE_REQUEST = {400, 413, 422}
"""Statuses that speak of one request (too long, malformed); any other 4xx holds for every request."""


@dataclass(frozen=True)
class Reply(Generic[T]):
    """An answer: its decoded body, its headers (names in lower case), and the seconds of the request that got it."""

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
            import tenacity
        except ImportError as error:
            fix = "pip install 'pytest-embedbench[http]'"
            raise ConfigurationError("endpoint", f"{error.name} is not installed", fix) from None
        self.settings = settings
        self.retries_left = settings.retries
        self._errors = (httpx2.HTTPError, httpx2.InvalidURL)
        self._transport_error = httpx2.TransportError
        self._key = settings.api_key()
        limits = httpx2.Limits(max_connections=settings.concurrency, max_keepalive_connections=settings.concurrency)
        # Redirects are looked at below; the time limit, over a request as a whole, is asyncio's.
        self._client = httpx2.AsyncClient(
            headers=self._key.headers(), limits=limits, timeout=httpx2.Timeout(None), follow_redirects=False
        )
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._quiet_until = 0.0
        self._retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            wait=tenacity.wait_random_exponential(multiplier=settings.backoff, max=LONGEST_BACKOFF),
            stop=self._stop,
            retry_error_callback=self._give_up,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def post(self, path: str, payload: Any, kind: type[T]) -> Reply[T]:
        """Send ``payload`` as JSON to a path of the endpoint; read the answer as ``kind``.

        Raises:
            EndpointError: refused, or no usable answer came within the limits of the settings.
        """
        body = msgspec.json.encode(payload)
        attempts = 0

        async def once() -> Reply[T]:
            nonlocal attempts
            attempts += 1
            await self._pause()
            started = time.perf_counter()
            response = await self._send(self.settings.address(path), body)
            seconds = time.perf_counter() - started
            headers = {name.lower(): self._key.redacted(value) for name, value in response.headers.items()}
            return Reply(self._decoded(response, kind), headers, seconds, attempts)

        async with self._slots:
            # A copy, since each keeps the state of one call.
            return await self._retrying.copy()(once)

    async def _pause(self) -> None:
        """Wait until the time that the server named to any of the requests under way."""
        while (left := self._quiet_until - time.monotonic()) > 0:  # noqa: ASYNC110 - it may be moved meanwhile
            await asyncio.sleep(left)

    async def _send(self, url: str, body: bytes) -> httpx2.Response:
        try:
            async with asyncio.timeout(self.settings.timeout):
                request = self._client.build_request(
                    "POST", url, content=body, headers={"Content-Type": "application/json"}
                )
                for _ in range(MOST_REDIRECTS + 1):
                    response = await self._client.send(request)
                    if response.next_request is None:
                        self._check_status(response)
                        return response
                    request = self._redirected(request, response.next_request)
        except TimeoutError:
            raise TransientError(f"{url}: no answer within {self.settings.timeout:g} s") from None
        except self._errors as error:
            message = self._key.redacted(f"{url}: {type(error).__name__}: {error}".rstrip(": "))
            if isinstance(error, self._transport_error):
                raise TransientError(message) from None
            raise EndpointError(message) from None
        raise EndpointError(f"{url}: more than {MOST_REDIRECTS} redirects", fatal=True)

    def _redirected(self, request: httpx2.Request, target: httpx2.Request) -> httpx2.Request:
        """The redirect's request, if it stays on the server: neither key nor texts go to another one."""
        old, new = request.url, target.url
        if (old.scheme, old.host, old.port) != (new.scheme, new.host, new.port):
            place = self._key.redacted(f"{new.scheme}://{new.host}" + (f":{new.port}" if new.port else ""))
            raise EndpointError(f"{old}: redirects to another host, {place}: refused", fatal=True)
        if target.method != "POST":
            message = f"{old}: redirects to {self._key.redacted(str(new.path))} in a way that drops the request"
            raise EndpointError(f"{message}; is the address right?", fatal=True)
        return target

    def _check_status(self, response: httpx2.Response) -> None:
        status = response.status_code
        if response.is_success:
            return
        message = f"{response.url}: HTTP {status}: {server_message(_answer(response), self._key)}"
        if status in {REQUEST_TIMEOUT, TOO_MANY_REQUESTS} or status >= SERVER_ERROR:
            wait = retry_after_seconds(response.headers.get("Retry-After"))
            longest = self.settings.longest_wait
            if wait is not None and wait > longest:
                message += f" (asks to wait {wait:.0f} s, longer than {longest:g} s)"
                raise EndpointError(message, status=status, fatal=True)
            self._quiet_until = max(self._quiet_until, time.monotonic() + (wait or 0))
            raise TransientError(message, status=status)
        if status in {401, 403} and not self._key:
            name = self.settings.api_key_env
            message += f" (no API key was sent: {f'{name} is not set' if name else 'no variable is named'})"
        raise EndpointError(message, status=status, fatal=status not in OF_THE_REQUEST)

    def _decoded(self, response: httpx2.Response, kind: type[T]) -> T:
        return decoded(str(response.url), _answer(response), kind, self._key)

    def _stop(self, state: RetryCallState) -> bool:
        """Asked after each failure: is this request, or the budget of all, at its end? If not, take a retry."""
        if state.attempt_number >= self.settings.attempts or self.retries_left == 0:
            return True
        self.retries_left -= 1
        return False

    def _give_up(self, state: RetryCallState) -> NoReturn:
        error = state.outcome.exception() if state.outcome else None
        status = error.status if isinstance(error, EndpointError) else None
        if state.attempt_number >= self.settings.attempts:
            raise EndpointError(f"{error} (after {state.attempt_number} attempts)", status=status) from None
        message = f"{error}\n  all {self.settings.retries} retries are used up"
        raise EndpointError(message, status=status, fatal=True) from None


def _answer(response: httpx2.Response) -> HttpAnswer:
    return HttpAnswer(response.status_code, response.headers, response.content)
