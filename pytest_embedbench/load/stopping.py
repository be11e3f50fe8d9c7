"""When a load has run long enough: warm-up ends when latencies have settled, the rest when they are known well."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_embedbench.load.quantiles import PERCENTILES, relative_width

MAX_MEDIAN_CHANGE = 0.10
"""Warm-up ends when the median of a window differs from that of the window before by no more than this share."""

MAX_RELATIVE_WIDTHS = {"p50": 0.05, "p99": 0.20}
"""A side may end when the interval of each of these is no wider than this share of it."""


def is_warmed_up(medians_ms: Sequence[float]) -> bool:
    """Has warm-up ended, by the medians of its windows so far?"""
    if len(medians_ms) < 2:  # noqa: PLR2004 - two windows to compare
        return False
    before, last = medians_ms[-2:]
    return abs(last - before) <= MAX_MEDIAN_CHANGE * before


def is_precise(latencies_ms: Sequence[float]) -> bool:
    """Are the percentiles known as well as ``NARROW`` says? Their values play no part, so they are not biased."""
    ordered = sorted(latencies_ms)
    return all(relative_width(ordered, PERCENTILES[name]) <= width for name, width in MAX_RELATIVE_WIDTHS.items())
