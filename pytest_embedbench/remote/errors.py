"""Errors of requests to an endpoint."""

from __future__ import annotations

from pytest_embedbench.errors import EmbedbenchError


class EndpointError(EmbedbenchError):
    """A request failed for good: its retries are used up, or a retry would get the same answer.

    Args:
        problem: what went wrong, without the API key.
        where: the address of the request.
        fix: what to do about it.
        status: the HTTP status, if there was an answer.
        fatal: whether every further request will fail too (wrong key, wrong address, no retries left), so that a run
            should stop.
    """

    def __init__(
        self, problem: str, *, where: str = "", fix: str = "", status: int | None = None, fatal: bool = False
    ) -> None:
        self.status, self.fatal = status, fatal
        super().__init__(problem, where=where, fix=fix)


class TransientError(EndpointError):
    """A failure that may pass, so that a retry makes sense."""


class AnswerError(EndpointError):
    """An answer came, but it is not JSON or not of the expected shape."""
