"""What a probe found, as data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

if TYPE_CHECKING:
    from pytest_embedbench.conformance.subject import Subject


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe found of one model.

    ``value`` is the number that decides, ``values`` are all that were measured, by what they were measured on.
    ``measured`` and ``limit`` are how a person reads them. A failure's explanation ends in the usual cause and the fix.
    """

    status: Literal["passed", "failed", "skipped"]
    measured: str = ""
    limit: str = ""
    value: float | None = None
    values: dict[str, float] = {}
    explanation: str = ""


class Probe(NamedTuple):
    """One question that is put to a model."""

    name: str
    question: str
    ask: Callable[[Subject], Outcome]


def skipped(reason: str) -> Outcome:
    return Outcome(status="skipped", explanation=reason)


def judged(
    problems: list[str],
    advice: str,
    *,
    measured: str = "",
    limit: str = "",
    value: float | None = None,
    values: dict[str, float] | None = None,
) -> Outcome:
    """Failed where there are problems, which the explanation lists before the usual cause and its fix (``advice``)."""
    return Outcome(
        status="failed" if problems else "passed",
        measured=measured,
        limit=limit,
        value=value,
        values=values or {},
        explanation="\n".join([*problems, advice]) if problems else "",
    )
