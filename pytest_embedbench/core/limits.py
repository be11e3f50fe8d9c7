"""Thresholds and budgets as values: they parse, print, compare and say what is wrong with them.

``ndcg@10 >= 0.31`` is a quality limit; ``query p50 <= 160 ms``, ``corpus throughput >= 5000 tok/s`` and
``query max rate >= 50 /s at p99 <= 500 ms`` are budgets. Values are kept in the unit's base (milliseconds, bytes, per
second); printing gives the user's unit.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.errors import closest

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
MAX_RATE = "max rate"

BUDGET_UNITS: dict[str, dict[str, float]] = {
    **{f"{side} {statistic}": TIME for side in SIDES for statistic in STATISTICS},
    **{f"{side} throughput": RATES for side in SIDES},
    "cold start": TIME,
    "memory": SIZE,
    **{f"{side} {MAX_RATE}": {"/s": 1.0} | REQUEST_RATE for side in SIDES},
}
"""Every quantity that a budget can bind, and the units it may be given in."""

MAX_RATES = frozenset(f"{side} {MAX_RATE}" for side in SIDES)
"""Those that need a latency to be the highest rate under: ``at p99 <= 500 ms``."""

RATE_EXAMPLE = "query max rate >= 50 /s at p99 <= 500 ms"
LATENCY_EXAMPLE = "p99 <= 500 ms"

_SHAPE = re.compile(r"(?P<subject>[^<>=]+?)\s*(?P<op><=|>=|<|>|==|=<|=>|=)\s*(?P<value>[^<>=]+)")
_AT = re.compile(r"\s+at\s+", re.IGNORECASE)
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
        """The measured value in the limit's own unit: three digits at least, or a score's four decimals."""
        if not self.unit:
            return f"{measured:.4f}"
        return f"{digits(measured / self.scale)} {self.unit}"

    def show_bound(self) -> str:
        return f"{self.op} {_exact(self.number, ',')} {self.unit}".rstrip()

    def __str__(self) -> str:
        return f"{self.subject} {self.op} {_exact(self.number)} {self.unit}".rstrip()


@dataclass(frozen=True)
class RateLimit(Limit):
    """``query max rate >= 50 /s at p99 <= 500 ms``: a limit on the highest rate at which ``latency`` holds."""

    latency: Limit = field(kw_only=True)
    """On the side's p99."""

    @property
    def side(self) -> Literal["query", "corpus"]:
        return "query" if self.subject.startswith("query") else "corpus"

    @property
    def at(self) -> str:
        """The latency without its side: ``p99 <= 500 ms``."""
        return str(self.latency).partition(" ")[2]

    def show_bound(self) -> str:
        return f"{super().show_bound()} at {self.at}"

    def __str__(self) -> str:
        return f"{super().__str__()} at {self.at}"


def digits(value: float) -> str:
    """A number with three digits at least: ``1,234.5``, ``7.50``, ``0.750``."""
    decimals = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3  # noqa: PLR2004 - of decimal digits
    return f"{value:,.{decimals}f}"


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
    """Read a budget such as ``query p50 <= 160 ms``; one on a max rate, of queries if it says no side, is a RateLimit.

    Raises:
        ValueError: unknown quantity, operator or unit, or no number; a max rate without its latency, or a latency of
            something else.
    """
    first, *latencies = _AT.split(text.strip(), 1)
    subject, op, number, unit = _split(first, "query p50 <= 160 ms")
    subject = " ".join(subject.lower().split())
    subject = f"query {subject}" if subject == MAX_RATE else subject
    units = BUDGET_UNITS.get(subject)
    if units is None:
        msg = f"unknown quantity {subject!r} in {text!r}; {closest(subject, [*BUDGET_UNITS, MAX_RATE])}"
        raise ValueError(msg)
    if unit not in units:
        allowed = " or ".join(units)
        given = f"unit {unit!r}" if unit else "no unit"
        msg = f"{given} in {text!r}; {subject} is given in {allowed}"
        raise ValueError(msg)
    if subject in MAX_RATES and not latencies:
        msg = f"a max rate under no latency in {text!r}; write it as {RATE_EXAMPLE!r}"
        raise ValueError(msg)
    if subject in MAX_RATES:
        return RateLimit(subject, op, number, unit, latency=_latency(latencies[0], subject, text))
    if latencies:
        msg = f"only a max rate is at a latency, not {subject} in {text!r}; leave out 'at {latencies[0]}'"
        raise ValueError(msg)
    return Limit(subject, op, number, unit)


def _latency(part: str, subject: str, text: str) -> Limit:
    """What follows ``at``: an upper limit on p99, of the side that ``subject`` names."""
    statistic, op, number, unit = _split(part, LATENCY_EXAMPLE)
    if statistic.lower() != "p99" or op != "<=" or unit not in TIME or number <= 0:
        units = " or ".join(TIME)
        msg = f"a max rate is at p99 <= a time in {units}, not at {part!r} in {text!r}; write 'at {LATENCY_EXAMPLE}'"
        raise ValueError(msg)
    return Limit(f"{subject.partition(' ')[0]} p99", op, number, unit)
