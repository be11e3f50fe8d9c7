"""Parse thresholds and budgets into values that compare, print, and explain what is wrong with them.

``ndcg@10 >= 0.31`` is a quality limit (``parse_quality``); ``query p50 <= 160 ms``, ``corpus throughput >= 5000 tok/s``
and ``query max rate >= 50 /s at p99 <= 500 ms`` are budgets (``parse_budget``). Values are compared in a base unit
(milliseconds, bytes, per second) and printed in the unit that the user wrote.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from pytest_embedbench.core.bounds import MAX_AMOUNT, MAX_COUNT, MAX_WAIT_SECONDS
from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.core.parsing import ParseError, refuse_long, shortened
from pytest_embedbench.errors import closest

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}

DEFAULT_MAX_DROP = 0.005
"""Drop of a mean below the baseline that passes: half a point on the scale of 0 to 100 that papers print nDCG in."""

DEFAULT_CONFIDENCE = 0.95
"""Confidence of comparisons and intervals: 1 minus the chance of a false alarm."""

# Units of each kind of quantity, and their size in its base unit.
TIME_UNITS = {"ms": 1.0, "s": 1000.0}
DURATION_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}  # of waits, which are never as short as a latency
SIZE_UNITS = {"MB": 1e6, "GB": 1e9, "MiB": 2.0**20, "GiB": 2.0**30}
# Rates of tokens, texts and requests do not convert into each other: a limit is compared with the one that it names.
THROUGHPUT_UNITS = {"tok/s": 1.0, "texts/s": 1.0, "requests/s": 1.0}
MAX_RATE_UNITS = {"/s": 1.0, "requests/s": 1.0}

BUDGET_STATISTICS = ("p50", "p90", "p95", "p99", "mean", "max")
SIDES = ("query", "corpus")
MAX_RATE = "max rate"
"""The quantity of ``query max rate >= 50 /s at p99 <= 500 ms``; without a side it is that of queries."""

BUDGET_UNITS: dict[str, dict[str, float]] = {
    **{f"{side} {statistic}": TIME_UNITS for side in SIDES for statistic in BUDGET_STATISTICS},
    **{f"{side} throughput": THROUGHPUT_UNITS for side in SIDES},
    "cold start": TIME_UNITS,
    "memory": SIZE_UNITS,
    **{f"{side} {MAX_RATE}": MAX_RATE_UNITS for side in SIDES},
}
"""Every quantity that a budget can bind, and the units that it can be given in."""

MAX_RATE_QUANTITIES = frozenset(f"{side} {MAX_RATE}" for side in SIDES)
"""Quantities that need a latency, ``at p99 <= 500 ms``: the highest rate is the highest one at which it holds."""

QUALITY_EXAMPLE = "ndcg@10 >= 0.31"
BUDGET_EXAMPLE = "query p50 <= 160 ms"
RATE_EXAMPLE = "query max rate >= 50 /s at p99 <= 500 ms"
LATENCY_EXAMPLE = "p99 <= 500 ms"

# Operators that are easily mistyped (=<, ==) match too, so that an error can name the right one.
_LIMIT = re.compile(r"(?P<subject>[^<>=]+?)\s*(?P<op><=|>=|<|>|==|=<|=>|=)\s*(?P<value>[^<>=]+)")
_AT = re.compile(r"\s+at\s+", re.IGNORECASE)
_NUMBER_AND_UNIT = re.compile(r"(?P<number>[-+]?(?:\d+(?:_\d+)*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(?P<unit>.*)")


@dataclass(frozen=True)
class Limit:
    """A limit as the user wrote it: ``subject op number unit``, e.g. ``query p50 <= 160 ms``."""

    subject: str
    op: str
    number: float
    unit: str = ""

    @property
    def bound(self) -> float:
        """The limit's number in the base unit."""
        return self.number * self.scale

    @property
    def scale(self) -> float:
        """Size of the limit's unit in the base unit; 1 for scores, which have no unit."""
        return BUDGET_UNITS[self.subject][self.unit] if self.unit else 1.0

    def holds(self, measured: float) -> bool:
        """Whether the measured value, in the base unit, is within the limit. NaN never is."""
        return OPERATORS[self.op](measured, self.bound)

    def show(self, measured: float) -> str:
        """Return the measured value in the limit's own unit, with at least three digits; scores have four decimals."""
        if not self.unit:
            return f"{measured:.4f}"
        return f"{digits(measured / self.scale)} {self.unit}"

    def show_bound(self) -> str:
        """Return the limit without its subject, for verdicts: ``<= 160 ms``."""
        return f"{self.op} {_exact(self.number, ',')} {self.unit}".rstrip()

    def __str__(self) -> str:
        return f"{self.subject} {self.op} {_exact(self.number)} {self.unit}".rstrip()


@dataclass(frozen=True)
class RateLimit(Limit):
    """A limit on the highest rate at which ``latency`` holds: ``query max rate >= 50 /s at p99 <= 500 ms``."""

    latency: Limit = field(kw_only=True)
    """Limit on the p99 of the same side."""

    @property
    def side(self) -> Literal["query", "corpus"]:
        """The side that the rate is of."""
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
    """Return a number with at least three digits: ``1,234.5``, ``7.50``, ``0.750``."""
    decimals = 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3  # noqa: PLR2004 - powers of ten
    return f"{value:,.{decimals}f}"


def _exact(number: float, grouping: str = "") -> str:
    """Return the shortest text that reads back as the same number; whole numbers have no fraction."""
    return format(int(number) if float(number).is_integer() else number, grouping)


def parse_size(text: str) -> int:
    """Read a size such as ``5GB``, in bytes.

    Raises:
        ParseError: the number is missing or not positive, or the unit is unknown.
    """
    refuse_long(text)
    value = _NUMBER_AND_UNIT.fullmatch(text.strip())
    size = float(value["number"]) * SIZE_UNITS.get(value["unit"].strip(), 0.0) if value else 0.0
    if size > MAX_COUNT:
        raise ParseError(f"{shortened(text)!r} is too large", f"write at most {MAX_COUNT / SIZE_UNITS['GB']:.0f}GB")
    if not size >= 1:
        raise ParseError(f"{shortened(text)!r} is not a size", f"write it as '5GB', in {', '.join(SIZE_UNITS)}")
    return int(size)


def parse_duration(text: str) -> float:
    """Read a duration such as ``5 min``, in seconds.

    Raises:
        ParseError: the number is missing or negative, or the unit is unknown.
    """
    refuse_long(text)
    value = _NUMBER_AND_UNIT.fullmatch(text.strip())
    seconds = float(value["number"]) * DURATION_UNITS.get(value["unit"].strip(), -1.0) if value else -1.0
    if seconds > MAX_WAIT_SECONDS:
        raise ParseError(f"{shortened(text)!r} is too long", f"write at most {MAX_WAIT_SECONDS / 3600:.0f} h")
    if not seconds >= 0:
        problem = f"{shortened(text)!r} is not a duration"
        raise ParseError(problem, f"write it as '5 min', in {', '.join(DURATION_UNITS)}")
    return seconds


def _split(text: str, example: str) -> tuple[str, str, float, str]:
    """Split ``"ndcg@10 >= 0.31 "`` into subject, operator, number and unit; ``example`` is what errors show."""
    refuse_long(text)
    match = _LIMIT.fullmatch(text.strip())
    if not match:
        raise ParseError(f"{text!r} is not a limit", f"write it as {example!r}")
    op = match["op"]
    if op not in OPERATORS:
        right = {"=<": "'<='", "=>": "'>='"}.get(op, "one of '>=', '>', '<=', '<'")
        raise ParseError(f"operator {op!r} in {text!r}", f"write {right}")
    value = _NUMBER_AND_UNIT.fullmatch(match["value"].strip())
    if not value:
        raise ParseError(f"{match['value'].strip()!r} in {text!r} is not a number", f"write it as {example!r}")
    number = float(value["number"])
    if not abs(number) <= MAX_AMOUNT:  # every measured value would pass such a limit, or none
        raise ParseError(f"the number in {shortened(text)!r} is too large", f"write it as {example!r}")
    return match["subject"].strip(), op, number, value["unit"].strip()


def parse_quality(text: str) -> Limit:
    """Read a quality threshold such as ``ndcg@10 >= 0.31``.

    Raises:
        ParseError: the metric or operator is unknown, the number is missing or not between 0 and 1, or it has a unit
            or is a percentage.
    """
    subject, op, number, unit = _split(text, QUALITY_EXAMPLE)
    measure = parse_measure(subject)
    if unit or not 0 <= number <= 1:
        # 31 and 31% were probably meant as 0.31.
        percentage = unit == "%" or 1 < number <= 100  # noqa: PLR2004 - 100%
        raise ParseError(
            f"scores lie between 0 and 1 and have no unit, not {number:g}{unit} in {text!r}",
            f"write {measure} {op} {number / 100:g}" if percentage else "",
        )
    return Limit(str(measure), op, number)


def parse_budget(text: str) -> Limit:
    """Read a budget such as ``query p50 <= 160 ms``.

    A budget on a max rate is a ``RateLimit``; without a side it is on queries.

    Raises:
        ParseError: the quantity, operator or unit is unknown, the number is missing, a max rate has no latency, or
            something else has one.
    """
    refuse_long(text)
    limit, *latencies = _AT.split(text.strip(), 1)
    subject, op, number, unit = _split(limit, BUDGET_EXAMPLE)
    subject = " ".join(subject.lower().split())
    subject = f"query {subject}" if subject == MAX_RATE else subject
    units = BUDGET_UNITS.get(subject)
    # The quantity is checked before the unit and the latency, which are wrong too if the quantity is misspelt.
    if units is None:
        raise ParseError(f"unknown quantity {subject!r} in {text!r}", closest(subject, [*BUDGET_UNITS, MAX_RATE]))
    if unit not in units:
        given = f"unit {unit!r}" if unit else "no unit"
        raise ParseError(f"{given} in {text!r}", f"{subject} is given in {' or '.join(units)}")
    if number < 0:
        raise ParseError(f"a limit below 0 in {text!r}", f"no {subject} is below 0; write it as {BUDGET_EXAMPLE!r}")
    if subject in MAX_RATE_QUANTITIES and not latencies:
        raise ParseError(f"a max rate without a latency in {text!r}", f"write it as {RATE_EXAMPLE!r}")
    if subject in MAX_RATE_QUANTITIES:
        return RateLimit(subject, op, number, unit, latency=_parse_latency(latencies[0], subject, text))
    if latencies:
        problem = f"only a max rate has a latency, not {subject} in {text!r}"
        raise ParseError(problem, f"leave out 'at {latencies[0]}'")
    return Limit(subject, op, number, unit)


def _parse_latency(part: str, subject: str, text: str) -> Limit:
    """Read what follows ``at``: an upper limit on the p99 of the side that ``subject`` names."""
    statistic, op, number, unit = _split(part, LATENCY_EXAMPLE)
    if statistic.lower() != "p99" or op != "<=" or unit not in TIME_UNITS or number <= 0:
        units = " or ".join(TIME_UNITS)
        problem = f"the latency of a max rate is p99 <= a time in {units}, not {part!r} in {text!r}"
        raise ParseError(problem, f"write 'at {LATENCY_EXAMPLE}'")
    return Limit(f"{subject.partition(' ')[0]} p99", op, number, unit)
