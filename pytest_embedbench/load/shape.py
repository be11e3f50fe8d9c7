"""Shapes of loads, as users write them.

``b1 c16`` is 1 text a request and 16 requests in flight; ``b1 r50`` is 1 text a request and 50 requests a second.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from pytest_embedbench.core.bounds import MAX_REQUEST_TEXTS, MAX_REQUESTS_IN_FLIGHT, MAX_REQUESTS_PER_SECOND
from pytest_embedbench.core.parsing import ParseError, bounded_int, refuse_long, shortened

_PATTERN = re.compile(r"b(\d+)[\s_-]+(?:c(\d+)|r(\d+(?:\.\d+)?))", re.IGNORECASE)


# Dataclasses rather than tuples: as tuples, b1 c50 and b1 r50 would be equal.
@dataclass(frozen=True)
class LoadShape:
    """A closed-loop load: ``batch`` texts a request, ``concurrency`` requests in flight."""

    batch: int
    concurrency: int

    def __str__(self) -> str:
        return f"b{self.batch} c{self.concurrency}"

    @property
    def slug(self) -> str:
        """The shape without spaces, for file names and node ids."""
        return f"b{self.batch}-c{self.concurrency}"


@dataclass(frozen=True)
class OpenShape:
    """An open-loop load: ``batch`` texts a request, ``rate`` requests a second, however many are in flight."""

    batch: int
    rate: float

    def __str__(self) -> str:
        return f"b{self.batch} r{_plain(self.rate)}"

    @property
    def slug(self) -> str:
        """The shape without spaces, for file names and node ids."""
        return f"b{self.batch}-r{_plain(self.rate)}"


Shape = LoadShape | OpenShape


def shape_order(shape: Shape) -> tuple[int, bool, float]:
    """Return the key that sorts shapes: by batch, closed loops before open ones, then by concurrency or rate."""
    if isinstance(shape, OpenShape):
        return shape.batch, True, shape.rate
    return shape.batch, False, shape.concurrency


def parse_shape(text: str) -> Shape:
    """Read a shape from ``b1 c16`` (or ``b1-c16``) or from ``b1 r50``, whose rate may have a fraction.

    Raises:
        ParseError: the text has another form, or one of its numbers is zero or above its maximum.
    """
    refuse_long(text)
    if match := _PATTERN.fullmatch(text.strip()):
        batch = bounded_int(match[1], MAX_REQUEST_TEXTS)
        concurrency, rate = bounded_int(match[2] or "0", MAX_REQUESTS_IN_FLIGHT), float(match[3] or 0)
        if batch is None or concurrency is None or rate > MAX_REQUESTS_PER_SECOND:
            most = f"{MAX_REQUEST_TEXTS:,} texts a request, {MAX_REQUESTS_IN_FLIGHT:,} requests in flight"
            most += f" and {MAX_REQUESTS_PER_SECOND:,} a second"
            raise ParseError(f"{shortened(text)!r} is too large a load", f"at most {most} are possible")
        if batch and concurrency:
            return LoadShape(batch, concurrency)
        if batch and rate > 0:
            return OpenShape(batch, rate)
    fix = (
        "write texts a request and requests in flight, e.g. 'b1 c16', "
        "or texts a request and requests a second, e.g. 'b1 r50'"
    )
    raise ParseError(f"{shortened(text)!r} is not a load profile", fix)


def _plain(rate: float) -> str:
    """Return the shortest decimal number that reads back as the same rate, without an exponent."""
    return f"{Decimal(repr(rate)).normalize():f}"
