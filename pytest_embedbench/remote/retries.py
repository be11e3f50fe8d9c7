"""The ``Retry-After`` header (RFC 9110, 10.2.3): seconds, or the date from which the server wants to be asked again."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def retry_after_seconds(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds to wait, 0 for a date that has passed; None where the header is absent or says nothing.

    Args:
        value: the header.
        now: the time to count a date from; absent: the clock's.
    """
    if value is None:
        return None
    try:
        seconds = float(value)  # servers also send fractions
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        if date.tzinfo is None:  # "-0000"; HTTP dates are in GMT
            date = date.replace(tzinfo=UTC)
        seconds = (date - (now or datetime.now(UTC))).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None
