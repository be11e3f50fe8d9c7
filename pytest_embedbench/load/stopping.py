"""Rules that end a load: its warm-up when latencies are steady, the rest when percentiles are precise."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_embedbench.load.quantiles import PERCENTILES, relative_width

MAX_MEDIAN_CHANGE = 0.10
"""Share; warm-up ends when a window's median differs from the median of the window before by no more than this."""

MAX_RELATIVE_WIDTHS = {"p50": 0.05, "p99": 0.20}
"""Shares; a side may end when each percentile's interval is no wider than its share of the percentile."""


def is_warmed_up(medians_ms: Sequence[float]) -> bool:
    """Whether warm-up may end, judged by the medians of its windows so far (milliseconds)."""
    if len(medians_ms) < 2:  # noqa: PLR2004 - two windows to compare
        return False
    before, last = medians_ms[-2:]
    return abs(last - before) <= MAX_MEDIAN_CHANGE * before


def is_precise(latencies_ms: Sequence[float]) -> bool:
    """Whether the intervals of p50 and p99 are no wider than ``MAX_RELATIVE_WIDTHS``.

    Only the intervals' relative widths decide, not the latencies themselves, so that stopping does not bias them.
    """
    ordered = sorted(latencies_ms)
    return all(relative_width(ordered, PERCENTILES[name]) <= width for name, width in MAX_RELATIVE_WIDTHS.items())
