"""The outcome of a check."""

from __future__ import annotations

from typing import Literal

import msgspec

Status = Literal["passed", "failed", "skipped", "measured"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A check's outcome, as data: tables, junit files and cards are made of it.

    ``value`` is the measured number in the base unit (score, milliseconds, per second, bytes), ``measured`` and
    ``limit`` are how a person reads them. ``measured`` as a status means that no limit was set.
    """

    model: str
    dataset: str
    check: str
    status: Status
    measured: str = ""
    limit: str = ""
    value: float | None = None
    explanation: str = ""
