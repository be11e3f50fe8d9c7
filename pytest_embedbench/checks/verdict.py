"""The result of a check on a pair."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

Status = Literal["passed", "failed", "skipped", "measured"]


class PairNames(NamedTuple):
    """The names under which tables show a model on a dataset."""

    model: str
    dataset: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A check's result, as data: tables, junit files and cards are made of it.

    ``value`` is the measured number in the base unit (score, milliseconds, per second, bytes), ``measured`` and
    ``limit`` are the texts that a person reads. The status ``measured`` means that no limit was set.
    """

    model: str
    dataset: str
    check: str
    status: Status
    measured: str = ""
    limit: str = ""
    value: float | None = None
    explanation: str = ""
