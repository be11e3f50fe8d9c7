"""junit properties of items: how verdicts and notes reach the session's end, also from xdist's workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pytest

    from pytest_embedbench.checks.verdict import Verdict
    from pytest_embedbench.engine.workbench import Workbench
    from pytest_embedbench.suite.pairs import Pair

PROPERTY_PREFIX = "embedbench_"
"""Start of each property's name; junit files show the names."""

RESULT_PROPERTY = f"{PROPERTY_PREFIX}result"
"""Property with the path of the stored result that an item used."""

NOTE_PROPERTY = f"{PROPERTY_PREFIX}note"
"""Property with a note for the end of the session; an item may have several."""


class ItemRecord(NamedTuple):
    """The properties of one item; "" where the item has no such property."""

    model: str = ""
    dataset: str = ""
    check: str = ""
    verdict: str = ""
    """A ``Status`` of ``checks.verdict``."""
    measured: str = ""
    limit: str = ""
    explanation: str = ""
    result: str = ""
    """Path of the stored result."""
    reused: str = ""
    """``yes`` or ``no``: whether an earlier ranking was used; "" if the verdict is not about a ranking."""


def pair_properties(pair: Pair) -> list[tuple[str, object]]:
    """Return the properties that name an item's pair; an item has them even if it ends before its verdict."""
    return [(f"{PROPERTY_PREFIX}model", pair.model.alias), (f"{PROPERTY_PREFIX}dataset", pair.dataset.alias)]


def model_properties(alias: str) -> list[tuple[str, object]]:
    """Return the property that names the model of an item without a dataset."""
    return [(f"{PROPERTY_PREFIX}model", alias)]


def verdict_properties(verdict: Verdict, result: str, *, reused: bool | None) -> list[tuple[str, object]]:
    """Return a verdict as properties: plain strings and numbers, which xdist can send.

    Args:
        verdict: the verdict of the item.
        result: path of the stored result, or "".
        reused: whether an earlier ranking was used; None if the verdict is not about a ranking.
    """
    properties: dict[str, object] = {
        "check": verdict.check,
        "verdict": verdict.status,
        "measured": verdict.measured,
        "limit": verdict.limit,
        "explanation": verdict.explanation,
        "result": result,
        "reused": {True: "yes", False: "no", None: ""}[reused],
    }
    if verdict.value is not None:
        properties["value"] = verdict.value
    return [(PROPERTY_PREFIX + name, value) for name, value in properties.items() if value != ""]


def result_property(path: str) -> tuple[str, object]:
    """Return the property by which a test in Python names the stored result that it used."""
    return RESULT_PROPERTY, path


def note_properties(bench: Workbench) -> list[tuple[str, object]]:
    """Return the workbench's notes as properties; each note is returned once."""
    return [(NOTE_PROPERTY, note) for note in bench.take_notes()]


def read_record(report: pytest.TestReport) -> ItemRecord:
    """Return the properties of a report's item."""
    values = {name.removeprefix(PROPERTY_PREFIX): str(value) for name, value in report.user_properties}
    return ItemRecord(**{field: values.get(field, "") for field in ItemRecord._fields})


def read_notes(report: pytest.TestReport) -> list[str]:
    """Return the notes of a report's item."""
    return [str(value) for name, value in report.user_properties if name == NOTE_PROPERTY]
