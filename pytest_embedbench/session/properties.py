"""junit properties of items: they carry verdicts, also from the workers of xdist."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_embedbench.checks.verdict import Verdict
    from pytest_embedbench.engine.workbench import Workbench
    from pytest_embedbench.suite.checks import Pair


PREFIX = "embedbench_"


RESULT = f"{PREFIX}result"


NOTE = f"{PREFIX}note"


def pair_properties(pair: Pair) -> list[tuple[str, object]]:
    """Which pair an item is about, as junit properties; items have them even if they end before a verdict."""
    return [(f"{PREFIX}model", pair.model.alias), (f"{PREFIX}dataset", pair.dataset.alias)]


def model_properties(alias: str) -> list[tuple[str, object]]:
    """Which model an item is about that is not about a pair."""
    return [(f"{PREFIX}model", alias)]


def verdict_properties(verdict: Verdict, result: str, *, reused: bool | None) -> list[tuple[str, object]]:
    """A verdict as flat junit properties; plain strings and numbers, so that xdist can carry them.

    ``reused`` says whether the ranking was a stored one; None where the verdict is not about a ranking.
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
    return [(PREFIX + name, value) for name, value in properties.items() if value != ""]


def result_property(path: str) -> tuple[str, object]:
    """The property by which a test in Python says which stored result it used."""
    return RESULT, path


def note_properties(bench: Workbench) -> list[tuple[str, object]]:
    """What the workbench noted, as properties: shown at the end, and carried there from xdist's workers."""
    return [(NOTE, note) for note in bench.take_notes()]
