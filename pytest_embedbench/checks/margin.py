"""How a measured value stands to its limit, in words: its interval, the margin, and whether that is certain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_embedbench.core.limits import Limit
    from pytest_embedbench.load.quantiles import Interval

SMALL = 0.01
"""A share below which a percentage has a decimal, and a value is not compared in percent."""

TWICE = 2.0
"""From so many times the limit on, a multiple says more than a percentage."""


def compared(name: str, value: float, limit: Limit, interval: Interval | None) -> str:
    """``b1 c16 query p99 is 210.0 ms (95% interval 190.0 to 240.0 ms), must be <= 300 ms: 30% below``.

    ``value`` and ``interval`` are in the limit's base unit.
    """
    measured = limit.show(value) + between(limit, interval)
    return f"{name} is {measured}, must be {limit.show_bound()}: {margin(value, limit.bound)}{doubt(limit, interval)}"


def between(limit: Limit, interval: Interval | None) -> str:
    """The interval in the limit's unit, to follow the value; "" where there is none."""
    if interval is None:
        return ""
    low, high = (limit.show(end) for end in interval)
    return f" (95% interval {low.removesuffix(f' {limit.unit}')} to {high})"


def margin(value: float, bound: float) -> str:
    """The distance from the limit as a share of it: ``30% below``, ``4.1 times the limit``."""
    if value == bound:
        return "at the limit"
    if bound <= 0:
        return "above" if value > bound else "below"
    ratio = value / bound
    if ratio >= TWICE:
        return f"{ratio:,.1f} times the limit"
    if ratio < SMALL:
        return "less than 1% of the limit"
    share = abs(ratio - 1)
    return f"{share:.{1 if share < SMALL else 0}%} {'above' if ratio > 1 else 'below'}"


def doubt(limit: Limit, interval: Interval | None) -> str:
    """What to add where the ends of the interval would have different verdicts; "" elsewhere."""
    uncertain = interval is not None and limit.holds(interval.low) != limit.holds(interval.high)
    return "; the interval contains the limit: not certain" if uncertain else ""
