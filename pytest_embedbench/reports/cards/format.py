"""Format numbers and metric names as the page prints them.

Each function for a number returns a text that ``facts.Figure`` reads back, to the digits shown. NaN, infinities and,
except for scores, negative numbers are a ``ValueError``: a card states measurements.
"""

from __future__ import annotations

import math
import re
from typing import TypeVar

from pytest_embedbench.core.thresholds import digits

NumberT = TypeVar("NumberT", int, float)

_CARRY = 1000
"""Limit of a magnitude; a number that rounds to it is shown in the next one."""
_ONE_DECIMAL_BELOW = 10
"""Rate; lower ones are shown with one decimal."""


def rate(value: float, unit: str = "tok/s") -> str:
    """Return a throughput: ``6.1K tok/s``, ``333 tok/s``, ``4.2 tok/s``; ``value`` is in ``unit``."""
    value = _checked(value)
    whole = f"{value:.0f}"
    # Compared as printed: 9.96 rounds to 10.0, which would have a decimal too many.
    if float(f"{value:.1f}") < _ONE_DECIMAL_BELOW:
        number = f"{value:.1f}"
    elif float(whole) < _CARRY:
        number = whole
    else:
        number = _short(value)
    return f"{number} {unit}"


def request_rate(per_second: float) -> str:
    """Return a rate of requests with the digits that verdicts have: ``70.0 requests/s``."""
    return f"{digits(_checked(per_second))} requests/s"


def latency(milliseconds: float) -> str:
    """Return a latency: ``553.1ms``."""
    return f"{_checked(milliseconds):.1f}ms"


def count(value: int) -> str:
    """Return a number of things: ``57,599``."""
    value = _checked(value)
    return f"{value:,d}"


def score(value: float) -> str:
    """Return a metric's value with four decimals: ``0.1447``. It may be negative."""
    if not math.isfinite(value):
        raise ValueError(f"expected a finite score, found {value}")
    text = f"{value:.4f}"
    # A tiny negative score rounds to a zero, which has no sign.
    return "0.0000" if text == "-0.0000" else text


def parameters(value: int) -> str:
    """Return a model's size in parameters: ``4.0B``, ``22.7M``, ``500``."""
    value = _checked(value)
    return str(value) if value < _CARRY else _short(value)


def metric_name(label: str) -> str:
    """Return the name of a metric from its label on a page: ``ndcg at 10`` gives ``ndcg@10``."""
    return re.sub(r" at (?=[0-9]+\Z)", "@", label)


def metric_label(name: str) -> str:
    """Return the label of a metric on a page: ``ndcg@10`` gives ``ndcg at 10``."""
    return re.sub(r"@(?=[0-9]+\Z)", " at ", name)


def _short(value: float) -> str:
    """Return a number of 1000 or more, or one that rounds to 1000, with a magnitude letter."""
    for letter in "KMB":
        value /= 1000
        text = f"{value:.1f}"
        if float(text) < _CARRY:  # as printed: 999,960 is 1.0M, not 1000.0K
            return text + letter
    return f"{value / 1000:.1f}T"


def _checked(value: NumberT) -> NumberT:
    """Return ``value`` without the sign of a negative zero.

    Raises:
        ValueError: it is negative or not finite.
    """
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"expected a finite number, zero or more, found {value}")
    return abs(value)
