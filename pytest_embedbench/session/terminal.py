"""Lines that pytest shows for a session: header, verdict table, notes, paths of written files."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_embedbench.conformance.outcome import UNCHECKED
from pytest_embedbench.errors import EmbedbenchError
from pytest_embedbench.session.causes import NOT_RUN
from pytest_embedbench.session.definition_lines import definition_lines
from pytest_embedbench.session.outputs import write_cards, write_leaderboard, write_summary
from pytest_embedbench.session.paths import display_path
from pytest_embedbench.session.properties import ItemRecord, read_record
from pytest_embedbench.session.pytest_compat import Terminal
from pytest_embedbench.session.result_notes import (
    dataset_notes,
    other_hardware,
    plausibility_notes,
    truncation_notes,
    verdict_notes,
    work_notes,
)
from pytest_embedbench.session.verdict_table import lay_out
from pytest_embedbench.suite.find import DEFAULT_SUITE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pytest

    from pytest_embedbench.results.schema import PairResult
    from pytest_embedbench.results.store import Store
    from pytest_embedbench.session.outputs import StoredResult
    from pytest_embedbench.session.state import EmbedSession
    from pytest_embedbench.suite.plan import Suite

VERDICT_CELLS = {"passed": "pass", "failed": "FAIL", "skipped": "skip", "measured": "-"}
"""Status of a verdict -> what the table shows."""

COLOURS = {"pass": {"green": True}, "FAIL": {"red": True}, "skip": {"yellow": True}, "not run": {"yellow": True}}
"""First word of a verdict's cell -> pytest's markup for it."""

TABLE_HEADERS = ("model", "dataset", "check", "measured", "limit", "verdict")


def header(session: EmbedSession) -> list[str]:
    """Return lines for pytest's header: what will run, and where results go."""
    path = session.suites.main_path
    suite = session.suites.read(path)
    models = ", ".join(dict.fromkeys(pair.model.alias for pair in suite.pairs)) or "none"
    datasets = ", ".join(dict.fromkeys(pair.dataset.alias for pair in suite.pairs)) or "none"
    name = "packaged default suite" if path == DEFAULT_SUITE else display_path(path)
    lines = [
        f"embedbench: {name}; models: {models}; datasets: {datasets}",
        f"embedbench results: {display_path(session.paths.results)}",
    ]
    if (session.option("dtype") or suite.settings.dtype) == "auto":
        lines.append(f"embedbench dtype: {_remembered_dtypes(session, suite)}")
    if suite.regression:
        from pytest_embedbench.session.baselines import baseline_source

        lines.append(f"embedbench baseline: {baseline_source(session, suite).text}")
    return lines


def suite_note(session: EmbedSession) -> list[str]:
    """Return a line that says why the project's suite runs, or does not, where the test paths leave it out."""
    if session.added:
        name = display_path(session.added)
        return [f"embedbench: {name} runs too, though the test paths leave it out; -m 'not embedbench' runs without it"]
    if session.left_out:
        name = display_path(session.left_out)
        return [f"embedbench: {name} does not run, since the paths given leave it out; add it to them"]
    return []


def _remembered_dtypes(session: EmbedSession, suite: Suite) -> str:
    """Return which dtypes ``auto`` stands for: those that earlier sessions chose for the suite's pairs."""
    from pytest_embedbench.engine.tuning import Tuning

    names = {(pair.model.base.alias, pair.dataset.alias) for pair in suite.pairs}
    known = [
        f"{choice.model} on {choice.dataset} as last time: {choice}"
        for choice in Tuning(session.paths.cache, remembered=not session.option("fresh")).dtypes
        if (choice.model, choice.dataset) in names
    ]
    return f"auto; {'; '.join(known) or 'chosen when a model first meets a dataset'}"


def summarize(reporter: pytest.TerminalReporter, session: EmbedSession, reports: Sequence[pytest.TestReport]) -> None:
    """Write cards, leaderboard and Markdown summary; print the verdict table, notes and where all files are."""
    from pytest_embedbench.results.store import Store

    reports = _in_run_order(reports)
    # The reports of an item's setup and teardown have the same properties: one report of each item is enough.
    records = [read_record(report) for report in reports if report.when == "call"]
    store = Store(session.paths.results)
    stored, problems = _stored_results(store, records)
    results = [result for _, result in stored]
    notes = [
        *verdict_notes(records),
        *problems,
        *dataset_notes(results),
        *truncation_notes(results),
        *plausibility_notes(stored),
        *work_notes(reports),
        *definition_lines(session.suites, reports),
    ]
    files = [
        *_result_lines(stored, records),
        *write_cards(session, store, [path for path, _ in stored]),
        *write_leaderboard(session, stored),
    ]
    table = _verdict_table(records, Terminal(session.config, reporter))
    elsewhere = other_hardware(records)
    # The Markdown summary repeats the notes and files, so it is written after all others.
    lines = [*table, *notes, *files, *write_summary(session, reports, [*notes, *elsewhere], files), *elsewhere]
    if lines:
        reporter.section("embedbench", sep="=")
    for line in lines:
        reporter.write_line(line)


def _in_run_order(reports: Sequence[pytest.TestReport]) -> list[pytest.TestReport]:
    """Sort reports by start, pair by pair: pytest groups them by outcome, and xdist's workers mix the pairs."""
    pairs = [read_record(report)[:2] for report in reports]
    starts: dict[tuple[str, ...], float] = {}
    for pair, report in zip(pairs, reports, strict=True):
        starts[pair] = min(report.start, starts.get(pair, report.start))
    ordered = sorted(zip(pairs, reports, strict=True), key=lambda entry: (starts[entry[0]], entry[1].start))
    return [report for _, report in ordered]


def _stored_results(store: Store, records: Iterable[ItemRecord]) -> tuple[list[StoredResult], list[str]]:
    """Read the results that the items name, each once; also return lines about files that cannot be read."""
    results, problems = [], []
    for path in dict.fromkeys(Path(record.result) for record in records if record.result):
        try:
            if result := store.load(path):
                results.append((path, result))
        except EmbedbenchError as error:
            problems.append(f"result: not read: {error}")
    return results, problems


def _verdict_table(records: Iterable[ItemRecord], terminal: Terminal) -> list[str]:
    """Return the table of verdicts and an empty line; nothing if there are no verdicts."""
    rows = [_table_row(record) for record in _fold_probes(record for record in records if record.verdict)]
    if not rows:
        return []
    return [*lay_out(TABLE_HEADERS, rows, terminal.width, lambda cell: _in_colour(cell, terminal)), ""]


def _in_colour(cell: str, terminal: Terminal) -> str:
    """Return a verdict's cell in the colour that pytest gives to such outcomes."""
    word = re.match(r"[\w-]+(?: run)?", cell)
    return terminal.painted(word[0], COLOURS.get(word[0], {})) + cell[word.end() :] if word else cell


def _fold_probes(records: Iterable[ItemRecord]) -> list[ItemRecord]:
    """Merge a model's conformance probes into one row, at the place of the first.

    Probes that failed, or that could not be answered, keep their rows.
    """
    rows: list[ItemRecord] = []
    counts: dict[str, Counter[str]] = {}
    for record in records:
        alone = record.verdict == "failed" or record.explanation.startswith(UNCHECKED)
        if not record.check.startswith("conformance[") or alone:
            rows.append(record)
            continue
        if record.model not in counts:
            counts[record.model] = Counter()
            # Where the model cannot be probed at all, the row says why instead of passing.
            first = record._replace(check="conformance", dataset="", measured="", limit="")
            rows.append(first)
        counts[record.model][record.verdict] += 1
    return [_probes_row(row, counts[row.model]) if row.check == "conformance" else row for row in rows]


def _probes_row(row: ItemRecord, counts: Mapping[str, int]) -> ItemRecord:
    measured = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    # Probes that were all skipped have shown nothing; then the row keeps the reason of the first.
    if counts["passed"]:
        return row._replace(measured=measured, verdict="passed", explanation="")
    return row._replace(measured=measured, verdict="skipped")


def _table_row(record: ItemRecord) -> list[str]:
    cells = [record.model, record.dataset, record.check, record.measured, record.limit]
    reason = " ".join(record.explanation.split())
    if reason.startswith(NOT_RUN):
        # The row has the names of its model and dataset already; again, they would make the table wider.
        for own in filter(None, (record.model, record.dataset)):
            reason = reason.replace(f"{NOT_RUN}{own}::", NOT_RUN, 1)
        return [*cells, reason]
    return [*cells, VERDICT_CELLS[record.verdict] + (f": {reason}" if record.verdict == "skipped" else "")]


def _result_lines(results: Iterable[StoredResult], records: Sequence[ItemRecord]) -> list[str]:
    """Return a line for each result: its file, its run, and whether an earlier ranking or cached vectors were used."""
    reused = {record.result for record in records if record.reused == "yes"}
    # With xdist one worker may make a ranking that another one reuses: it is then new in this session.
    reused -= {record.result for record in records if record.reused == "no"}
    lines = []
    for path, result in results:
        run = result.embedbench.evidence.run
        origin = " (reused: same model, data and settings)" if str(path) in reused else _cached_texts(result)
        lines.append(f"result: {display_path(path)}{origin}" + (f", run: {run}" if run else ""))
    return lines


def _cached_texts(result: PairResult) -> str:
    """Return how many texts had vectors in the embedding cache; "" if none had."""
    texts = sum(int(result.embedbench.effort.get(f"{side}_cached_texts", 0)) for side in ("corpus", "query"))
    return f" ({texts:,} texts from the embedding cache)" if texts else ""
