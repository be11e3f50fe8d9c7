"""HTTP statuses by what they say of a server, in an answer's head or in an error's body."""

from __future__ import annotations

from http import HTTPStatus

SITE_IS_OVERLOADED = 529
"""Anthropic's and others' status for an overloaded service; not in RFC 9110."""

CLOUDFLARE_NO_ORIGIN = frozenset({520, 521, 522, 523})
"""Cloudflare's statuses for an origin that is down, or does not accept connections."""

NOT_READY_STATUSES = CLOUDFLARE_NO_ORIGIN | {
    HTTPStatus.TOO_EARLY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    SITE_IS_OVERLOADED,
}
"""Statuses of a server, or of a gateway before it, that takes no request now."""

TIMEOUT_STATUSES = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT, 524})
"""Statuses of a gateway whose server did not answer in time (524 is Cloudflare's)."""


def status_problem(status: int, message: str) -> str:
    """Return a status and the server's message as errors show them."""
    return f"HTTP {status}: {message}" if message else f"HTTP {status}, without a message"
