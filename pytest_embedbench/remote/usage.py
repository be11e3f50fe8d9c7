"""A server's count of a request's tokens, read from the ``usage`` of its answer, whatever that holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

MAX_TOKENS = 10**12
"""Tokens of one request; a larger count is none."""
MAX_DEPTH = 4
"""Objects in each other in which a mark of an estimate is looked for."""


class ServerCount(NamedTuple):
    """Tokens of a whole request as the server counted them (0: it did not); ``estimated`` if it says so."""

    tokens: int = 0
    estimated: bool = False


def server_count(usage: Any, headers: Mapping[str, str] | None = None) -> ServerCount:
    """Return the server's count; an odd ``usage`` counts as none, since the vectors beside it may be sound.

    SIE marks counts that it has estimated from characters as ``character_estimate``; other servers use other words.

    Args:
        usage: the value of ``usage`` in the answer.
        headers: headers of the answer, names in lower case.
    """
    fields = usage if isinstance(usage, dict) else {}
    # Some servers give only the total, which is the same here: embeddings have no completion.
    counts = (_positive(fields.get(name)) for name in ("prompt_tokens", "total_tokens"))
    marked = any("estimat" in text.casefold() for name, text in (headers or {}).items() if "usage" in name)
    return ServerCount(next(filter(None, counts), 0), marked or _marks_estimate(fields))


def _positive(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= MAX_TOKENS:
        return 0
    return round(value)


def _marks_estimate(fields: Mapping[Any, Any], depth: int = MAX_DEPTH) -> bool:
    """Whether a field says that the count is an estimate: ``"source": "character_estimate"``, ``"estimated": true``."""
    for name, value in fields.items():
        if depth and isinstance(value, dict) and _marks_estimate(value, depth - 1):
            return True
        if isinstance(value, str) and "estimat" in value.casefold():
            return True
        if value is True and "estimat" in str(name).casefold():  # "estimated_cost": 0.01 says something else
            return True
    return False
