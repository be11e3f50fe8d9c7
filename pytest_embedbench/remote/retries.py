"""Retry policy of an endpoint: which failures are tried again, after how long, and how often."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn, TypeVar

from pytest_embedbench.remote.errors import EndpointError, TransientError
from pytest_embedbench.remote.settings import EndpointSettings

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")

MAX_BACKOFF_SECONDS = 30.0
"""Seconds; the backoff is not doubled beyond this."""

TRANSIENT_STATUSES = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
"""Statuses below 500 that may pass; all from 500 on may."""

SINGLE_REQUEST_STATUSES = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""Statuses that concern one request (malformed, too long); any other 4xx would be the answer to all requests."""


class RetryPolicy:
    """Repeats the failed requests of one endpoint, for all requests together.

    A ``TransientError`` is tried again after an exponential backoff with full jitter, at most ``settings.attempts``
    times for one request and ``settings.retries`` times for all. When a server names a time to wait (``Retry-After``),
    every request waits for it, not only the one that was refused.
    """

    def __init__(self, settings: EndpointSettings) -> None:
        import tenacity

        self._settings = settings
        self._retries_left = settings.retries
        self._paused_until = 0.0
        self._retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(TransientError),
            # Jitter, so that requests that failed together do not all come back at the same time.
            wait=tenacity.wait_random_exponential(multiplier=settings.backoff, max=MAX_BACKOFF_SECONDS),
            stop=self._stop,
            retry_error_callback=self._give_up,
        )

    async def call(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return what ``attempt`` returns, called again while it raises ``TransientError``.

        Raises:
            EndpointError: an attempt failed for good, or no retries are left.
        """
        # A copy for each call, because tenacity stores the state of a call in the object.
        return await self._retrying.copy()(attempt)

    async def wait_for_server(self) -> None:
        """Wait until the time that the server named in its answer to any request."""
        while (left := self._paused_until - time.monotonic()) > 0:  # noqa: ASYNC110 - other requests may move it
            await asyncio.sleep(left)

    def status_error(self, status: int, retry_after: str | None, problem: str, url: str) -> EndpointError:
        """Return the error for an answer with an error status; makes all requests wait if the server asks for it.

        Args:
            status: 400 or above.
            retry_after: the ``Retry-After`` header, if there is one.
            problem: the text of the error.
            url: the address of the request.
        """
        if status not in TRANSIENT_STATUSES and status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return EndpointError(problem, where=url, status=status, fatal=status not in SINGLE_REQUEST_STATUSES)
        wait = retry_after_seconds(retry_after) or 0.0
        if wait > self._settings.longest_wait:
            problem += f" (asks to wait {wait:.0f} s, longer than {self._settings.longest_wait:g} s)"
            return EndpointError(problem, where=url, status=status, fatal=True)
        self._paused_until = max(self._paused_until, time.monotonic() + wait)
        return TransientError(problem, where=url, status=status)

    def _stop(self, state: RetryCallState) -> bool:
        """Whether to give up after a failed attempt; otherwise takes one retry from the budget."""
        if state.attempt_number >= self._settings.attempts or self._retries_left == 0:
            return True
        self._retries_left -= 1
        return False

    def _give_up(self, state: RetryCallState) -> NoReturn:
        error = state.outcome.exception() if state.outcome else None
        assert isinstance(error, TransientError)  # noqa: S101 - nothing else is tried again
        if state.attempt_number >= self._settings.attempts:
            problem, fatal = f"{error.problem} (after {state.attempt_number} attempts)", False
        else:
            problem, fatal = f"{error.problem}\n  all {self._settings.retries} retries are used up", True
        raise EndpointError(problem, where=error.where, status=error.status, fatal=fatal) from None


def retry_after_seconds(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a ``Retry-After`` header (RFC 9110, 10.2.3) asks to wait; 0 for a date in the past.

    Tolerant, because servers are: fractions of a second and dates without a time zone are understood, and a header
    that cannot be read counts as absent.

    Args:
        value: the header: seconds, or a date.
        now: the time from which a date is counted; None for the current time.

    Returns:
        Seconds, or None where the header is absent or cannot be read.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        if date.tzinfo is None:  # e.g. "-0000"; HTTP dates are in GMT
            date = date.replace(tzinfo=UTC)
        seconds = (date - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
