"""The shape of a load, as users write it: ``b1 c16`` is 1 text a request, 16 requests in flight."""

from __future__ import annotations

import re
from typing import NamedTuple

_PATTERN = re.compile(r"b(\d+)[\s_-]+c(\d+)", re.IGNORECASE)


class LoadShape(NamedTuple):
    """A closed-loop load: ``batch`` texts a request, ``concurrency`` requests in flight."""

    batch: int
    concurrency: int

    def __str__(self) -> str:
        return f"b{self.batch} c{self.concurrency}"

    @property
    def slug(self) -> str:
        """The shape without spaces, for file names and node ids."""
        return f"b{self.batch}-c{self.concurrency}"


def parse_shape(text: str) -> LoadShape:
    """Read ``b1 c16`` (or ``b1-c16``).

    Raises:
        ValueError: it is not of that form, or a number is zero.
    """
    match = _PATTERN.fullmatch(text.strip())
    if not match or "0" in (match[1].lstrip("0") or "0", match[2].lstrip("0") or "0"):
        msg = f"{text!r} is not a load profile; write texts a request and requests in flight, e.g. 'b1 c16'"
        raise ValueError(msg)
    return LoadShape(int(match[1]), int(match[2]))
