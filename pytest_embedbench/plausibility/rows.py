"""What is judged and what is said of it: a row of printed numbers, and a finding."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from pytest_embedbench.core.measures import Measure

Judgments = Literal["binary", "graded", ""]
"""Whether relevant documents have all one grade; empty: not known."""

Level = Literal["error", "warning", "note"]
"""``error``: no ranking or no set of samples gives these numbers. ``warning``: suspicious. ``note``: for the reader."""

SLACK = 1e-9
"""What floating point sums may be off by; far below any digit that is printed."""


class Value(msgspec.Struct, frozen=True):
    """A number as printed: the true one lies within ``half`` of it (0: printed whole)."""

    value: float
    half: float = 0.0

    @classmethod
    def printed(cls, text: str, factor: float = 1.0) -> Value:
        """``0.1447`` is 0.1447 to within 0.00005; ``factor`` (of a unit or a magnitude) multiplies both."""
        number = Decimal(text.replace(",", ""))
        exponent = number.as_tuple().exponent
        return cls(float(number) * factor, 0.5 * 10.0 ** int(exponent) * factor)

    @property
    def low(self) -> float:
        return self.value - self.half - SLACK * max(1.0, abs(self.value))

    @property
    def high(self) -> float:
        return self.value + self.half + SLACK * max(1.0, abs(self.value))

    def __str__(self) -> str:
        return f"{self.value:.6g}"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one dataset, as somebody reports it; whatever is absent is not checked.

    ``latencies`` are statistics (``p50``, ``mean``, ``max``) in milliseconds for each load, e.g. ``b1 c16 query``.
    """

    dataset: str
    model: str = ""
    split: str = ""
    source: str = ""
    scores: dict[Measure, Value] = {}
    latencies: dict[str, dict[str, Value]] = {}
    documents: Value | None = None
    queries: Value | None = None
    judgments: Judgments = ""

    @property
    def label(self) -> str:
        """The dataset as a reader tells rows apart by it."""
        return self.dataset if self.split in {"", "test"} else f"{self.dataset} ({self.split})"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something about a row that its reader should know.

    ``rule`` is stable, ``message`` has the inequality and the numbers, ``values`` the numbers once more by name.
    """

    level: Level
    rule: str
    message: str
    file: str = ""
    model: str = ""
    dataset: str = ""
    values: dict[str, float] = {}

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.dataset, self.level, self.message) if part)


def finding(row: Row, level: Level, rule: str, message: str, **values: float) -> Finding:
    """A finding about this row."""
    return Finding(
        level=level,
        rule=rule,
        message=message,
        file=row.source,
        model=row.model,
        dataset=row.label,
        values=values,
    )
