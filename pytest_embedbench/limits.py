"""Thresholds and budgets as values: they parse, print, compare and say what is wrong with them.

``ndcg@10 >= 0.31`` is a quality limit; ``query p50 <= 160 ms`` and ``corpus throughput >= 5000 tok/s`` are
budgets. Values are kept in the unit's base (milliseconds, bytes, per second); printing gives the user's unit.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from pytest_embedbench.errors import closest
from pytest_embedbench.measures import parse_measure

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}

TIME = {"ms": 1.0, "s": 1000.0}
TOKEN_RATE = {"tok/s": 1.0}
TEXT_RATE = {"texts/s": 1.0}
REQUEST_RATE = {"requests/s": 1.0}
SIZE = {"MB": 1e6, "GB": 1e9, "MiB": 2.0**20, "GiB": 2.0**30}
"""Units and their size in the base unit of each kind of quantity."""

RATES = TOKEN_RATE | TEXT_RATE | REQUEST_RATE
STATISTICS = ("p50", "p90", "p95", "p99", "mean", "max")
SIDES = ("query", "corpus")

BUDGET_UNITS: dict[str, dict[str, float]] = {
    **{f"{side} {statistic}": TIME for side in SIDES for statistic in STATISTICS},
    **{f"{side} throughput": RATES for side in SIDES},
    "cold start": TIME,
    "memory": SIZE,
}
"""Every quantity that a budget can bind, and the units it may be given in."""

_SHAPE = re.compile(r"(?P<subject>[^<>=]+?)\s*(?P<op><=|>=|<|>|==|=<|=>|=)\s*(?P<value>[^<>=]+)")
_NUMBER = re.compile(r"(?P<number>[-+]?(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(?P<unit>.*)")


@dataclass(frozen=True)
class Limit:
    """``subject op number unit``; ``bound`` is the number in the base unit.

    ``holds(measured)`` takes the measured value in the base unit.
    """

    subject: str
    op: str
    number: float
    unit: str = ""

    @property
    def bound(self) -> float:
        return self.number * self.scale

    @property
    def scale(self) -> float:
        """Size of the limit's unit in the base unit; 1 for scores, which have none."""
        return BUDGET_UNITS[self.subject][self.unit] if self.unit else 1.0

    def holds(self, measured: float) -> bool:
        """Is the measured value (base unit) within the limit? NaN never is."""
        return OPERATORS[self.op](measured, self.bound)

    def show(self, measured: float) -> str:
        """The measured value in the limit's own unit, with four significant decimals for scores."""
        return f"{measured / self.scale:,.1f} {self.unit}" if self.unit else f"{measured:.4f}"

    def show_bound(self) -> str:
        return f"{self.op} {_exact(self.number, ',')} {self.unit}".rstrip()

    def __str__(self) -> str:
        return f"{self.subject} {self.op} {_exact(self.number)} {self.unit}".rstrip()


def _exact(number: float, grouping: str = "") -> str:
    """The shortest text that reads back as the same number, whole numbers without a fraction."""
    return format(int(number) if float(number).is_integer() else number, grouping)


def parse_size(text: str) -> int:
    """Read a size such as ``5GB``, as bytes.

    Raises:
        ValueError: no positive number, or no unit that is known.
    """
    value = _NUMBER.fullmatch(text.strip())
    size = float(value["number"]) * SIZE.get(value["unit"].strip(), 0.0) if value else 0.0
    if not 1 <= size < float("inf"):
        msg = f"{text!r} is not a size; write it as '5GB', in {', '.join(SIZE)}"
        raise ValueError(msg)
    return int(size)


def _split(text: str, example: str) -> tuple[str, str, float, str]:
    """``"ndcg@10 >= 0.31"`` -> subject, operator, number, unit; ValueError with the fix otherwise."""
    match = _SHAPE.fullmatch(text.strip())
    if not match:
        msg = f"{text!r} is not a limit; write it as {example!r}"
        raise ValueError(msg)
    op = match["op"]
    if op not in OPERATORS:
        hint = {"=<": "'<='", "=>": "'>='"}.get(op, "one of '>=', '>', '<=', '<'")
        msg = f"operator {op!r} in {text!r}; write {hint}"
        raise ValueError(msg)
    value = _NUMBER.fullmatch(match["value"].strip())
    if not value:
        msg = f"{match['value'].strip()!r} in {text!r} is not a number; write it as {example!r}"
        raise ValueError(msg)
    return match["subject"].strip(), op, float(value["number"]), value["unit"].strip()


def parse_quality(text: str) -> Limit:
    """Read a quality threshold such as ``ndcg@10 >= 0.31``.

    Raises:
        ValueError: unknown metric or operator, no number, or a unit or percentage where a score belongs.
    """
    subject, op, number, unit = _split(text, "ndcg@10 >= 0.31")
    measure = parse_measure(subject)
    if unit or not 0 <= number <= 1:
        msg = f"scores lie between 0 and 1 and have no unit, not {number:g}{unit} in {text!r}"
        if unit == "%" or 1 < number <= 100:  # noqa: PLR2004 - a percentage
            msg += f"; write {measure} {op} {number / 100:g}"
        raise ValueError(msg)
    return Limit(str(measure), op, number)


def parse_budget(text: str) -> Limit:
    """Read a budget such as ``query p50 <= 160 ms`` or ``corpus throughput >= 5000 tok/s``.

    Raises:
        ValueError: unknown quantity, operator or unit, or no number.
    """
    subject, op, number, unit = _split(text, "query p50 <= 160 ms")
    subject = " ".join(subject.lower().split())
    units = BUDGET_UNITS.get(subject)
    if units is None:
        msg = f"unknown quantity {subject!r} in {text!r}; {closest(subject, BUDGET_UNITS)}"
        raise ValueError(msg)
    if unit not in units:
        allowed = " or ".join(units)
        given = f"unit {unit!r}" if unit else "no unit"
        msg = f"{given} in {text!r}; {subject} is given in {allowed}"
        raise ValueError(msg)
    return Limit(subject, op, number, unit)
