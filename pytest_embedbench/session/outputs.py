"""What a session writes at its end: cards, leaderboard, Markdown summary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.errors import EmbedbenchError
from pytest_embedbench.session.paths import _short
from pytest_embedbench.session.properties import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_embedbench.reports.markdown_summary import Line
    from pytest_embedbench.results.schema import PairResult
    from pytest_embedbench.results.store import Store
    from pytest_embedbench.session.state import EmbedSession


def _publish(
    session: EmbedSession, reports: Iterable[pytest.TestReport], notes: Sequence[str], places: Sequence[str]
) -> list[str]:
    """Write the markdown summary where one is wanted; lines that say what could not be written."""
    fresh, step = session.summary, session.step_summary
    if not (fresh or step):
        return []
    from pytest_embedbench.reports.markdown_summary import Summary, publish

    shown = [_line(report) for report in reports if report.when == "call" or report.outcome != "passed"]
    return publish(Summary(shown, notes, places), fresh, step)


def _line(report: pytest.TestReport) -> Line:
    """A check with its verdict; a test in Python, or what ended before its verdict, with pytest's outcome."""
    from pytest_embedbench.reports.markdown_summary import Line

    found = {name.removeprefix(PREFIX): str(value) for name, value in report.user_properties}
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return Line(
        model=found.get("model", ""),
        dataset=found.get("dataset", ""),
        check=found.get("check") or report.nodeid.rpartition("::")[2],
        status=found.get("verdict", report.outcome),
        measured=found.get("measured", ""),
        limit=found.get("limit", ""),
        explanation=found.get("explanation", reason),
    )


def _write_cards(session: EmbedSession, store: Store, paths: list[Path]) -> list[str]:
    """Write a card for each model of this session; lines that say where.

    It shows all that is stored of the model's revision, not only what ran now: ``-k`` must not shrink a card. A card
    that cannot be made never hides the results.
    """
    from pytest_embedbench.reports.cards.write import write_cards

    template = session.option("card_template")
    path = session.config.invocation_params.dir / template if template else None
    try:
        folders = dict.fromkeys(path.parent for path in paths)
        results = [stored for folder in folders for stored in store.results(folder)]
        return [f"card: {_short(card)}" for card in write_cards(results, session.cards, path)]
    except (EmbedbenchError, ValueError, OSError) as error:
        return [f"card: not written: {error}"]


def _write_leaderboard(session: EmbedSession, results: Iterable[tuple[Path, PairResult]]) -> list[str]:
    """Rank the models of this session, where that is asked for; lines that say where."""
    if not session.leaderboard:
        return []
    from pytest_embedbench.rating.judges.entries import with_evidence
    from pytest_embedbench.reports.leaderboard.make import make_leaderboard

    data = {pair.dataset.alias: pair.dataset for suite in session.suites.values() for pair in suite.pairs}
    try:
        entries = [with_evidence(path, result) for path, result in results]
        ratings, pages = make_leaderboard(entries, session.leaderboard, data=data.values())
    except (EmbedbenchError, ValueError, OSError) as error:
        return [f"leaderboard: not written: {error}"]
    notes = ratings.notes if ratings else ["not rated: no two models have scores on the same queries"]
    return [*(f"leaderboard: {note}" for note in notes), f"leaderboard: {_short(pages[0])}"]
