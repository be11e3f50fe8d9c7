"""What pytest shows of a session: header, verdict table, junit properties; writes the cards at the end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.errors import EmbedbenchError
from pytest_embedbench.session.outputs import _publish, _write_cards, _write_leaderboard
from pytest_embedbench.session.paths import _short
from pytest_embedbench.session.properties import NOTE, PREFIX, RESULT
from pytest_embedbench.suite.find import DEFAULT_SUITE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from _pytest.terminal import TerminalReporter

    from pytest_embedbench.results.schema import PairResult
    from pytest_embedbench.session.state import EmbedSession
    from pytest_embedbench.suite.plan import Suite

FEW = 0.01
"""A share of texts that is not worth a note."""

MARKS = {"passed": "pass", "failed": "FAIL", "skipped": "skip", "measured": "-"}


def header(session: EmbedSession) -> list[str]:
    """Lines for pytest's header: what will run, and where results go."""
    path = session.project_suite() or DEFAULT_SUITE
    suite = session.suite(path)
    models = ", ".join(dict.fromkeys(pair.model.alias for pair in suite.pairs)) or "none"
    datasets = ", ".join(dict.fromkeys(pair.dataset.alias for pair in suite.pairs)) or "none"
    shown = "packaged default suite" if path == DEFAULT_SUITE else _short(path)
    lines = [
        f"embedbench: {shown}; models: {models}; datasets: {datasets}",
        f"embedbench results: {_short(session.results)}",
    ]
    if (session.option("dtype") or suite.settings.dtype) == "auto":
        lines.append(f"embedbench dtype: {_remembered_dtypes(session, suite)}")
    if suite.regression:
        from pytest_embedbench.session.baselines import source

        lines.append(f"embedbench baseline: {source(session, suite).text}")
    return lines


def _remembered_dtypes(session: EmbedSession, suite: Suite) -> str:
    """The number formats that were chosen before for the suite's pairs, by name; what is new is chosen on its way."""
    from pytest_embedbench.engine.tuning import Tuning

    names = {(pair.model.base.alias, pair.dataset.alias) for pair in suite.pairs}
    known = [
        f"{choice.model} on {choice.dataset} as last time: {choice}"
        for choice in Tuning(session.cache, remembered=not session.option("fresh")).dtypes
        if (choice.model, choice.dataset) in names
    ]
    return f"auto; {'; '.join(known) or 'chosen when a model first meets a dataset'}"


def summarize(reporter: TerminalReporter, session: EmbedSession, reports: Sequence[pytest.TestReport]) -> None:
    """Print the verdict table and notes, write the cards and the markdown summary, say where everything is."""
    reports = _in_order(reports)
    properties = [dict(report.user_properties) for report in reports if report.when == "call"]
    rows = [_row(found) for found in _folded(found for found in properties if f"{PREFIX}verdict" in found)]
    paths = [Path(path) for path in dict.fromkeys(str(found[RESULT]) for found in properties if RESULT in found)]
    from pytest_embedbench.results.store import Store

    store = Store(session.results)
    results = []
    notes = _remarks(properties)
    for path in paths:
        try:
            if result := store.load(path):
                results.append((path, result))
        except EmbedbenchError as error:
            notes.append(f"result: not read: {error}")
    notes += _notes(result for _, result in results)
    notes += [line for _, result in results for line in _cuts(result)]
    notes += _doubts(results)
    noted = (value for report in reports for name, value in report.user_properties if name == NOTE)
    notes += [f"note: {note}" for note in dict.fromkeys(noted)]
    # Of two xdist workers one made the ranking and the other one reused it: then this session made it.
    reused = {str(found[RESULT]) for found in properties if found.get(f"{PREFIX}reused") == "yes"}
    reused -= {str(found[RESULT]) for found in properties if found.get(f"{PREFIX}reused") == "no"}
    places = []
    for path, result in results:
        run = result.embedbench.evidence.run
        again = " (reused: same model, data and settings)" if str(path) in reused else _from_cache(result)
        places.append(f"result: {_short(path)}{again}" + (f", run: {run}" if run else ""))
    places += _write_cards(session, store, [path for path, _ in results])
    places += _write_leaderboard(session, results)
    lines = [*notes, *places, *_publish(session, reports, notes, places)]
    if rows or lines:
        reporter.section("embedbench", sep="=")
    if rows:
        from tabulate import tabulate

        headers = ["model", "dataset", "check", "measured", "limit", "verdict"]
        reporter.write_line(tabulate(rows, headers=headers, disable_numparse=True))
        reporter.write_line("")
    for line in lines:
        reporter.write_line(line)


def _remarks(properties: Iterable[dict[str, Any]]) -> list[str]:
    """What checks have to say that did not fail: how near a comparison was, what a profile's reader should know."""
    return [
        f"{found[f'{PREFIX}model']} on {found[f'{PREFIX}dataset']}: {line}"
        for found in properties
        if found.get(f"{PREFIX}verdict") in {"passed", "measured"}
        for line in str(found.get(f"{PREFIX}explanation", "")).splitlines()
    ]


def _from_cache(result: PairResult) -> str:
    """How many of the texts the embedding cache knew, where it knew any."""
    texts = sum(int(result.embedbench.effort.get(f"{side}_cached_texts", 0)) for side in ("corpus", "query"))
    return f" ({texts:,} texts from the embedding cache)" if texts else ""


def _in_order(reports: Sequence[pytest.TestReport]) -> list[pytest.TestReport]:
    """As they ran, pair by pair: pytest keeps them by outcome, and xdist's workers mix the pairs."""
    starts: dict[tuple[object, object], float] = {}
    keys = []
    for report in reports:
        found = dict(report.user_properties)
        pair = found.get(f"{PREFIX}model"), found.get(f"{PREFIX}dataset")
        starts[pair] = min(report.start, starts.get(pair, report.start))
        keys.append((pair, report))
    return [report for pair, report in sorted(keys, key=lambda key: (starts[key[0]], key[1].start))]


def _folded(verdicts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Verdicts for the table, where the probes that a model passes (or that have nothing to say of it) are one row."""
    rows: list[dict[str, Any]] = []
    folded: dict[object, Counter[str]] = {}
    for found in verdicts:
        status, model = str(found[f"{PREFIX}verdict"]), found[f"{PREFIX}model"]
        if not str(found[f"{PREFIX}check"]).startswith("conformance[") or status == "failed":
            rows.append(found)
            continue
        if model not in folded:
            folded[model] = Counter()
            rows.append({f"{PREFIX}model": model, f"{PREFIX}check": "conformance", f"{PREFIX}verdict": "passed"})
        folded[model][status] += 1
    for row in rows:
        if row[f"{PREFIX}check"] == "conformance":
            counts = folded[row[f"{PREFIX}model"]]
            row[f"{PREFIX}measured"] = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return rows


def _row(found: dict[str, Any]) -> list[str]:
    cells = [str(found.get(PREFIX + name, "")) for name in ("model", "dataset", "check", "measured", "limit")]
    status = str(found[f"{PREFIX}verdict"])
    reason = f": {found[f'{PREFIX}explanation']}" if status == "skipped" else ""
    return [*cells, MARKS[status] + reason]


def _notes(results: Iterable[PairResult]) -> list[str]:
    """What the datasets' files have wrong, one line a finding, each dataset once."""
    findings = {}
    for result in results:
        dataset = result.embedbench.dataset
        for finding in dataset.findings:
            first = f", first: {finding.first[:60]}" if finding.first else ""
            note = f"note: {dataset.name}: {finding.message} ({finding.count:,}{first})"
            findings[dataset.name, finding.code] = note
    return list(findings.values())


def _cuts(result: PairResult) -> list[str]:
    """Which share of the texts fills the model's length, where that is more than a few: what is longer is cut."""
    details = result.embedbench
    lines = []
    for side, texts in (("corpus", details.dataset.unique_texts), ("query", details.dataset.queries)):
        share = details.effort.get(f"{side}_full_texts", 0) / texts if texts else 0
        if share >= FEW:
            names = f"{details.model.alias} on {details.dataset.name}"
            limit = f"{details.model.facts.max_tokens:,} tokens that the model takes"
            lines.append(f"note: {names}: {share:.0%} of the {side} texts fill the {limit}; what is longer is cut")
    return lines


def _doubts(results: Iterable[tuple[Path, PairResult]]) -> list[str]:
    """Numbers of this session that no ranking can produce, or that contradict published ones."""
    from pytest_embedbench.plausibility.check import check_result

    return [f"doubt: {finding}" for path, result in results for finding in check_result(result, path.name)]
