"""How far reported numbers were rounded, seen from their decimals."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pytest_embedbench.core.measures import Measure
from pytest_embedbench.plausibility.rows import ReportedValue

FLOAT_NOISE = 1e-12
"""Error of sums and products of floats, e.g. 0.24292999999999998 for 0.24293."""
MAX_DECIMALS = 12
"""Decimals; a number with more was not rounded."""


def with_rounding(numbers: Mapping[Measure, float]) -> dict[Measure, ReportedValue]:
    """Return the scores with the half-width of their rounding.

    JSON drops final zeros: 0.411 beside 0.36709 is 0.41100. So all cuts of one family have as many decimals as the
    longest of them. A family of only 0, 1 and 0.5 does not show its rounding, and gets the decimals of the whole entry.
    """
    decimals: dict[str, int] = {}
    for measure, value in numbers.items():
        decimals[measure.family] = max(decimals.get(measure.family, 0), _decimals(value))
    longest = max(decimals.values(), default=0)
    decimals = {family: count if count > 1 else longest for family, count in decimals.items()}
    return {measure: ReportedValue(value, _half(decimals[measure.family])) for measure, value in numbers.items()}


def _decimals(value: float) -> int:
    """Return the number of decimals that the value was rounded to; more than ``MAX_DECIMALS`` if it was not."""
    if not math.isfinite(value):
        return 0
    fits = (count for count in range(MAX_DECIMALS) if abs(value - round(value, count)) < FLOAT_NOISE)
    return next(fits, MAX_DECIMALS + 1)


def _half(decimals: int) -> float:
    return 0.5 * 10.0**-decimals if decimals <= MAX_DECIMALS else 0.0
