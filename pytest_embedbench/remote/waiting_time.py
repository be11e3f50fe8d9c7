"""Times that servers ask to wait, from the headers and messages in which they do."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

OLDEST_TIMESTAMP = 1e9
"""Seconds; larger numbers in a reset header are Unix times, smaller ones are durations."""

UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_REMAINING = "remaining"
_RESET = re.compile(r"(?:[a-z]+-)*ratelimit-(?:[a-z-]+-)?reset(?:-[a-z-]+)?")
"""``x-ratelimit-reset``, ``x-ratelimit-reset-requests``, ``ratelimit-reset``, ``anthropic-ratelimit-tokens-reset``."""
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhd]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")
_IN_WORDS = re.compile(
    r"\b(?:try again|retry|available|wait)\b[^.0-9]{0,20}?(\d+(?:\.\d+)?)\s*"
    r"(ms|milliseconds?|s|sec|seconds?|m|min|minutes?)\b",
    re.IGNORECASE,
)


def asked_wait(headers: Mapping[str, str], message: str, now: datetime | None = None) -> float | None:
    """Return the seconds that an answer asks to wait; None if it names no time.

    ``Retry-After`` (RFC 9110, 10.2.3) comes first, then ``retry-after-ms``, the reset headers of quotas that are used
    up, and a time in the message (``Please try again in 20s``).

    Args:
        headers: headers of the answer, names in lower case.
        message: the server's message.
        now: the time from which dates are counted; None for the current time.
    """
    milliseconds = duration_seconds(headers.get("retry-after-ms"))
    candidates = (
        retry_after_seconds(headers.get("retry-after"), now),
        None if milliseconds is None else milliseconds / 1000,
        _reset_seconds(headers, now),
        _seconds_in_words(message),
    )
    return next((seconds for seconds in candidates if seconds is not None), None)


def retry_after_seconds(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks to wait; 0 for a date in the past.

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
    seconds = duration_seconds(value)
    if seconds is not None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, OverflowError, TypeError, IndexError):  # the parser's own faults among them
        return None
    return _until(date, now)


def duration_seconds(value: str | None) -> float | None:
    """Return the seconds of ``30``, ``1.5``, ``20ms`` or ``6m0s``; None for any other text, 0 for negative numbers."""
    text = (value or "").strip().casefold()
    try:
        seconds = float(text)
    except ValueError:
        if not _DURATION.fullmatch(text):
            return None
        seconds = sum(float(number) * UNIT_SECONDS[unit] for number, unit in _PART.findall(text))
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _reset_seconds(headers: Mapping[str, str], now: datetime | None) -> float | None:
    """Return the longest time until a quota that is used up is whole again.

    Quotas with something left are passed over: their headers name the time until they are whole, which is no reason to
    wait. One that does not say how much is left counts as used up.
    """
    waits = []
    for name, value in headers.items():
        if not _RESET.fullmatch(name):
            continue
        left = duration_seconds(headers.get(name.replace("reset", _REMAINING)))
        if left:
            continue
        seconds = _reset(value, now)
        if seconds is not None:
            waits.append(seconds)
    return max(waits, default=None)


def _reset(value: str, now: datetime | None) -> float | None:
    seconds = duration_seconds(value)
    if seconds is None:
        try:
            return _until(datetime.fromisoformat(value.strip()), now)
        except ValueError:
            return None
    if seconds < OLDEST_TIMESTAMP:
        return seconds
    scale = 1000 if seconds > OLDEST_TIMESTAMP * 1000 else 1  # some give milliseconds
    return max(0.0, seconds / scale - (now or datetime.now(UTC)).timestamp())


def _until(date: datetime, now: datetime | None) -> float:
    if date.tzinfo is None:  # e.g. "-0000"; HTTP dates are in GMT
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - (now or datetime.now(UTC))).total_seconds())


def _seconds_in_words(message: str) -> float | None:
    match = _IN_WORDS.search(message)
    if not match:
        return None
    unit = match[2].casefold()
    size = "ms" if unit.startswith(("ms", "mill")) else unit[0]
    seconds = float(match[1]) * UNIT_SECONDS[size]
    return seconds if math.isfinite(seconds) else None
