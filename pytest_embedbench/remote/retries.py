"""Retry policy of an endpoint: which failures are final, which may pass, and for which all requests wait."""

from __future__ import annotations

import asyncio
import math
import random
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from pytest_embedbench.remote.errors import EndpointError, NotReadyError, PassingError
from pytest_embedbench.remote.fixes import status_fix
from pytest_embedbench.remote.servers import MAX_BACKOFF_SECONDS, server_of
from pytest_embedbench.remote.statuses import NOT_READY_STATUSES, TIMEOUT_STATUSES, status_problem
from pytest_embedbench.remote.waiting_time import asked_wait

if TYPE_CHECKING:
    from pytest_embedbench.remote.answers import HttpAnswer
    from pytest_embedbench.remote.settings import EndpointSettings

T = TypeVar("T")

SINGLE_REQUEST_STATUSES = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.NOT_IMPLEMENTED,
}
"""Statuses that concern one request (malformed, too long); any other 4xx would be the answer to all requests."""

PASSING_STATUSES = {HTTPStatus.CONFLICT, HTTPStatus.FAILED_DEPENDENCY}
"""Statuses below 500 that may pass; text-embeddings-inference answers 424 where its model failed on a batch."""

_LOADING = re.compile(
    r"\b(?:loading|warming|warm-?up|starting up|initiali[sz]ing|not ready|overloaded|temporarily|unavailable)\b",
    re.IGNORECASE,
)
"""Words of servers that say with another status (500, 424) that they are not ready."""

_NO_CREDIT = re.compile(r"insufficient[_ ]quota|check your plan|billing|out of credit|credit balance", re.IGNORECASE)
"""Words of a 429 that no waiting helps against."""


class RetryPolicy:
    """Repeats the failed requests of one endpoint.

    While a server is not ready (loading, overloaded, out of quota, stopped), all requests to it wait together, for
    ``settings.patience`` at most (see ``Server``). A failure of one request that may pass (a broken connection, HTTP
    500, a time-out) is tried again after a random wait, at most ``settings.attempts`` times for one request, with
    ``settings.retries`` retries for all.
    """

    def __init__(self, settings: EndpointSettings) -> None:
        self._settings = settings
        self._retries_left = settings.retries
        self._server = server_of(settings)

    @property
    def worked(self) -> bool:
        """Whether the server has answered before."""
        return self._server.worked

    async def call(
        self, attempt: Callable[[], Awaitable[T]], *, divisible: bool = False, tries: int | None = None
    ) -> T:
        """Return what ``attempt`` returns, called again while it fails in a way that may pass.

        Args:
            attempt: sends the request once.
            divisible: whether the caller can send less at a time: then a request that timed out is not sent again.
            tries: how often a request that the server fails on (HTTP 500, 424, a broken connection) is sent, at most;
                None for the settings' ``attempts``.

        Raises:
            EndpointError: an attempt failed for good, or no retries or no patience are left.
        """
        verdicts = self._server.verdicts
        failed = poisoned = 0
        successes: int | None = None
        while True:
            turn = await self._server.turn(self._settings, verdicts)
            try:
                result = await attempt()
            except NotReadyError as error:
                self._server.not_ready(turn, error, self._settings)
                # Where others are answered in between, it is this request that the server cannot take.
                poisoned += not error.quota and successes not in {None, self._server.successes}
                successes = self._server.successes
                if poisoned >= self._settings.attempts:
                    ending = f"(after {poisoned + 1} attempts, while other requests were answered)"
                    raise _final(error, ending) from None
            except PassingError as error:
                self._server.left(turn)
                failed += 1
                breaks = (error.status is not None or error.dropped) and failed >= (tries or math.inf)
                if breaks or (divisible and error.timed_out):
                    raise _final(error) from None
                await self._before_next(failed, error)
            except EndpointError as error:
                if error.status is None:  # no answer came, as where nobody listens
                    self._server.left(turn)
                else:
                    self._server.answered(turn)
                raise
            except BaseException:
                self._server.left(turn)
                raise
            else:
                self._server.answered(turn)
                return result

    def status_error(self, answer: HttpAnswer, message: str, url: str) -> EndpointError:
        """Return the error for an answer with an error status.

        Args:
            answer: the answer.
            message: the server's message, without secrets.
            url: the address of the request, without secrets.
        """
        status, problem = answer.status, status_problem(answer.status, message)
        if status in TIMEOUT_STATUSES and self._server.successes:  # before, it may be loading
            return PassingError(problem, where=url, status=status, timed_out=True)
        no_credit = status == HTTPStatus.TOO_MANY_REQUESTS and _NO_CREDIT.search(message)
        may_pass = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in PASSING_STATUSES
        not_ready = status in NOT_READY_STATUSES | TIMEOUT_STATUSES or (may_pass and _LOADING.search(message))
        if not_ready and not no_credit:
            quota = status == HTTPStatus.TOO_MANY_REQUESTS
            return NotReadyError(
                problem, where=url, status=status, wait=asked_wait(answer.headers, message), quota=quota
            )
        if status in SINGLE_REQUEST_STATUSES:
            return EndpointError(problem, where=url, status=status)
        if may_pass:
            return PassingError(problem, where=url, status=status)
        fix = status_fix(status, self._settings, message)
        return EndpointError(problem, where=url, status=status, fix=fix, fatal=True)

    async def _before_next(self, failed: int, error: PassingError) -> None:
        """Wait before the next attempt, which takes one retry from the budget.

        Raises:
            EndpointError: no attempt or no retry is left.
        """
        if failed >= self._settings.attempts:
            raise _final(error, f"(after {failed} attempts)" if failed > 1 else "") from None
        if not self._retries_left:
            problem = f"{error.problem}\n  all {self._settings.retries} retries are used up"
            raise EndpointError(problem, where=error.where, status=error.status, fatal=True) from None
        self._retries_left -= 1
        backoff = min(MAX_BACKOFF_SECONDS, self._settings.backoff * 2 ** (failed - 1))
        # Jitter, so that requests that failed together do not all come back at the same time.
        await asyncio.sleep(backoff * random.uniform(0.5, 1))


def _final(error: EndpointError, ending: str = "") -> EndpointError:
    """Return the error of a request that is not tried again; other requests may succeed."""
    problem = f"{error.problem} {ending}".rstrip()
    return EndpointError(
        problem,
        where=error.where,
        fix=error.fix,
        status=error.status,
        timed_out=error.timed_out,
        dropped=error.dropped,
    )
