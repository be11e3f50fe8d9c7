"""A probe, and its outcome as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from pytest_embedbench.core.bounded import Amount

if TYPE_CHECKING:
    from pytest_embedbench.conformance.subject import Subject
    from pytest_embedbench.models.spec import ModelSpec


class ProbeOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one probe of one model.

    ``value`` is the number that decides, ``values`` are all that were measured, by the text or side measured.
    ``measured`` and ``limit`` are the texts that a person reads. A failure's explanation ends in the usual cause and
    the fix.
    """

    status: Literal["passed", "failed", "skipped"]
    measured: str = ""
    limit: str = ""
    value: Amount | None = None
    values: dict[str, Amount] = {}
    explanation: str = ""


def always(spec: ModelSpec, known: ModelSpec | None) -> bool:  # noqa: ARG001 - the signature of ``Probe.applies``
    """Apply to every model."""
    return True


class Probe(NamedTuple):
    """One question that is put to a model.

    ``name`` stands in node ids and in ``skip_probes``. ``applies`` tells from a model's definition, and from the
    catalogue's entry for it if there is one, whether the question makes sense; other models do not get the item.
    ``needs_reference`` makes the engine load the reference, whose vectors this model should reproduce, beside it.
    """

    name: str
    question: str
    ask: Callable[[Subject], ProbeOutcome]
    applies: Callable[[ModelSpec, ModelSpec | None], bool] = always
    needs_reference: bool = False


def skipped(reason: str) -> ProbeOutcome:
    """Return the outcome of a probe that can say nothing about a model."""
    return ProbeOutcome(status="skipped", explanation=reason)


UNCHECKED = "not checked: "
"""Start of the explanation of a probe that applies, but lacks something to compare with."""


def unchecked(reason: str) -> ProbeOutcome:
    """Return the outcome of a probe that applies to a model and cannot be answered; tables show it by itself."""
    return skipped(f"{UNCHECKED}{reason}")


def judged(
    problems: Sequence[str],
    *,
    cause: str = "",
    fix: str,
    measured: str = "",
    limit: str = "",
    value: float | None = None,
    values: dict[str, float] | None = None,
) -> ProbeOutcome:
    """Return an outcome that failed if there are problems; its explanation has them, then the usual cause and the fix.

    Args:
        problems: what is wrong, a line each.
        cause: the usual cause.
        fix: what to do about it.
        measured: the deciding number, as a person reads it.
        limit: the limit of that number, as a person reads it.
        value: the deciding number.
        values: all numbers that were measured.
    """
    lines = [*problems, *([f"usual cause: {cause}"] if cause else []), f"fix: {fix}"]
    return ProbeOutcome(
        status="failed" if problems else "passed",
        measured=measured,
        limit=limit,
        value=value,
        values=values or {},
        explanation="\n".join(lines) if problems else "",
    )
