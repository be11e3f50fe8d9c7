"""What can go wrong with an endpoint."""

from __future__ import annotations

from pytest_embedbench.errors import EmbedbenchError


class EndpointError(EmbedbenchError):
    """A request failed for good: retries are used up, or another one would be answered the same.

    Args:
        status: the HTTP status, where there was an answer.
        fatal: every further request will fail too (wrong key, wrong address, no retries left), so a run should stop.
    """

    def __init__(self, message: str, *, status: int | None = None, fatal: bool = False) -> None:
        self.status, self.fatal = status, fatal
        super().__init__(message)


class TransientError(EndpointError):
    """A failure that may pass, so worth a retry."""


class AnswerError(EndpointError):
    """An answer came, but it is not what was asked for: no JSON, or of another shape."""
