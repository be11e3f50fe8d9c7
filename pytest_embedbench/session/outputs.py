"""Write a session's files at its end: cards, leaderboard, Markdown summary.

A file that cannot be written is a line of the output, never an exception, which would hide the verdicts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_embedbench.errors import EmbedbenchError
from pytest_embedbench.session.paths import display_path
from pytest_embedbench.session.properties import read_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pytest

    from pytest_embedbench.reports.markdown_summary import SummaryLine
    from pytest_embedbench.results.schema import PairResult
    from pytest_embedbench.results.store import Store
    from pytest_embedbench.session.state import EmbedSession

StoredResult = tuple[Path, "PairResult"]
"""A result and the path of its file."""


def write_cards(session: EmbedSession, store: Store, paths: Iterable[Path]) -> list[str]:
    """Write a card for each model whose results lie at ``paths``; return lines that say where.

    A card shows all stored results of the model's revision, not only those of this session: a session with ``-k``
    must not shrink it.
    """
    from pytest_embedbench.reports.cards.write import write_cards as write_model_cards

    results, lines = [], []
    for folder in dict.fromkeys(path.parent for path in paths):
        try:
            results += list(store.results(folder))
        except (EmbedbenchError, OSError) as error:
            lines.append(f"card: not written: {error}")
    cards = write_model_cards(results, session.paths.cards, session.paths.card_template)
    for model, path, reason in cards:
        lines.append(f"card: {display_path(path)}" if path else f"card of {model}: not written: {reason}")
    return lines


def write_leaderboard(session: EmbedSession, results: Iterable[StoredResult]) -> list[str]:
    """Rank the session's models if ``--embed-leaderboard`` asks for it; return lines that say where the pages are."""
    folder = session.paths.leaderboard
    if not folder:
        return []
    from pytest_embedbench.rating.judges.entries import with_evidence
    from pytest_embedbench.reports.leaderboard.make import make_leaderboard

    # The pages show texts of queries and documents, so the datasets of all suites are passed on.
    datasets = {pair.dataset.alias: pair.dataset for suite in session.suites.loaded for pair in suite.pairs}
    try:
        entries = [with_evidence(path, result) for path, result in results]
        ratings, pages = make_leaderboard(entries, folder, data=datasets.values())
    except (EmbedbenchError, ValueError, OSError) as error:
        return [f"leaderboard: not written: {error}"]
    notes = ratings.notes if ratings else ["not rated: no two models have scores on the same queries"]
    return [*(f"leaderboard: {note}" for note in notes), f"leaderboard: {display_path(pages[0])}"]


def write_summary(
    session: EmbedSession, reports: Iterable[pytest.TestReport], notes: Sequence[str], files: Sequence[str]
) -> list[str]:
    """Write the Markdown summary if an option or GitHub Actions asks for it; return lines about what failed.

    Args:
        session: the session that ends.
        reports: reports of its items, in the order of the summary's table.
        notes: lines of the notes.
        files: lines that say where files are.
    """
    path, step = session.paths.summary, session.paths.step_summary
    if not (path or step):
        return []
    from pytest_embedbench.reports.markdown_summary import Summary, publish

    # Setup and teardown matter only where they failed: then the item has no verdict.
    lines = [_summary_line(report) for report in reports if report.when == "call" or report.outcome != "passed"]
    return publish(Summary(lines, notes, files), path, step)


def _summary_line(report: pytest.TestReport) -> SummaryLine:
    """Return the table line of an item; one without a verdict (e.g. a test in Python) has pytest's outcome."""
    from pytest_embedbench.reports.markdown_summary import SummaryLine

    record = read_record(report)
    # pytest gives a skipped test as (file, line, reason).
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return SummaryLine(
        model=record.model,
        dataset=record.dataset,
        check=record.check or report.nodeid.rpartition("::")[2],
        status=record.verdict or report.outcome,
        measured=record.measured,
        limit=record.limit,
        explanation=record.explanation or reason,
    )
