"""Rows of reported numbers, and findings about them."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from pytest_embedbench.core.measures import Measure

Grading = Literal["binary", "graded", ""]
"""Whether all relevant documents have one grade; empty if unknown."""

FindingLevel = Literal["error", "warning", "note"]
"""``error``: no ranking and no set of samples has these numbers; ``warning``: suspicious; ``note``: information."""

SUM_TOLERANCE = 1e-9
"""Relative error that floating point sums may have; far below any printed digit."""


class ReportedValue(msgspec.Struct, frozen=True):
    """A number as printed; the true one differs by at most ``half`` (0: printed in full)."""

    value: float
    half: float = 0.0

    @classmethod
    def printed(cls, text: str, factor: float = 1.0) -> ReportedValue:
        """Read a printed number: ``0.1447`` has the ``half`` 0.00005; ``factor``, e.g. of a unit, multiplies both."""
        # Decimal keeps final zeros: 0.500 is more precise than 0.5.
        number = Decimal(text.replace(",", ""))
        exponent = number.as_tuple().exponent
        return cls(float(number) * factor, 0.5 * 10.0 ** int(exponent) * factor)

    @property
    def low(self) -> float:
        """The smallest number that is printed like this."""
        return self.value - self.half - SUM_TOLERANCE * max(1.0, abs(self.value))

    @property
    def high(self) -> float:
        """The largest number that is printed like this."""
        return self.value + self.half + SUM_TOLERANCE * max(1.0, abs(self.value))

    def __str__(self) -> str:
        return f"{self.value:.6g}"


class ReportedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one dataset, as reported by a card or a result file; absent numbers are not checked.

    ``latencies`` has statistics (``p50``, ``mean``, ``max``) in milliseconds for each load, e.g. ``b1 c16 query``.
    """

    dataset: str
    model: str = ""
    split: str = ""
    source: str = ""
    scores: dict[Measure, ReportedValue] = {}
    latencies: dict[str, dict[str, ReportedValue]] = {}
    documents: ReportedValue | None = None
    queries: ReportedValue | None = None
    judgments: Grading = ""

    @property
    def label(self) -> str:
        """The dataset with its split, unless that is ``test``."""
        return self.dataset if self.split in {"", "test"} else f"{self.dataset} ({self.split})"


class PlausibilityFinding(msgspec.Struct, frozen=True, kw_only=True):
    """Something suspicious or impossible about a row.

    ``rule`` is a stable identifier, ``message`` has the inequality and the numbers, ``values`` the same numbers by
    name. ``embedbench lint --json`` prints these fields.
    """

    level: FindingLevel
    rule: str
    message: str
    file: str = ""
    model: str = ""
    dataset: str = ""
    values: dict[str, float] = {}

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.dataset, self.level, self.message) if part)


def finding_about(
    row: ReportedRow, level: FindingLevel, rule: str, message: str, **values: float
) -> PlausibilityFinding:
    """Return a finding about this row."""
    return PlausibilityFinding(
        level=level,
        rule=rule,
        message=message,
        file=row.source,
        model=row.model,
        dataset=row.label,
        values=values,
    )
