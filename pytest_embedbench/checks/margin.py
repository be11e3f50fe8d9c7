"""A measured value against its limit, in words: its interval, the margin, and whether the verdict is certain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_embedbench.core.thresholds import Limit
    from pytest_embedbench.load.quantiles import Interval

SMALL_SHARE = 0.01
"""Share of the limit; a difference below it is shown with one decimal, a value below it as "less than 1%"."""

MIN_MULTIPLE = 2.0
"""Ratio to the limit; from here on a value is shown as a multiple of the limit, below it in percent above or below."""


AT_LEAST = "at least "
"""Words before a rate that the load client or the search has limited, and not the model."""

CLIENT_LIMITED = "; the load client was the limit, so the server may do more"


def compare_to_limit(
    name: str, value: float, limit: Limit, interval: Interval | None, *, at_least: bool = False
) -> str:
    """Return e.g. ``b1 c16 query p99 is 210.0 ms (95% interval 190.0 to 240.0 ms), must be <= 300 ms: 30% below``.

    ``value`` and ``interval`` are in the limit's base unit. ``at_least`` says that the value is a lower bound.
    """
    measured = (AT_LEAST if at_least else "") + limit.show(value) + show_interval(limit, interval)
    return f"{name} is {measured}, must be {limit.show_bound()}: {margin(value, limit.bound)}{doubt(limit, interval)}"


def show_interval(limit: Limit, interval: Interval | None) -> str:
    """Return the interval in the limit's unit, to follow the value; "" if there is none."""
    if interval is None:
        return ""
    # The unit stands once, after the upper end.
    low, high = (limit.show(end) for end in interval)
    return f" (95% interval {low.removesuffix(f' {limit.unit}')} to {high})"


def margin(value: float, bound: float) -> str:
    """Return the distance from the limit as a share of it: ``30% below``, ``4.1 times the limit``."""
    if value == bound:
        return "at the limit"
    # No distance is a share of zero.
    if bound <= 0:
        return "above" if value > bound else "below"
    ratio = value / bound
    if ratio >= MIN_MULTIPLE:
        return f"{ratio:,.1f} times the limit"
    if ratio < SMALL_SHARE:
        return "less than 1% of the limit"
    share = abs(ratio - 1)
    return f"{share:.{1 if share < SMALL_SHARE else 0}%} {'above' if ratio > 1 else 'below'}"


def doubt(limit: Limit, interval: Interval | None) -> str:
    """Return a warning if the ends of the interval would have different verdicts; otherwise ""."""
    uncertain = interval is not None and limit.holds(interval.low) != limit.holds(interval.high)
    return "; the interval contains the limit: not certain" if uncertain else ""
