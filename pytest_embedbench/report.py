"""What pytest shows of a session: header, verdict table, junit properties; writes the cards at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.errors import EmbedbenchError
from pytest_embedbench.session import DEFAULT_SUITE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from _pytest.terminal import TerminalReporter

    from pytest_embedbench.checks.verdict import Verdict
    from pytest_embedbench.results.schema import PairResult
    from pytest_embedbench.results.store import Store
    from pytest_embedbench.session import EmbedSession

PREFIX = "embedbench_"
RESULT = f"{PREFIX}result"
MARKS = {"passed": "pass", "failed": "FAIL", "skipped": "skip", "measured": "-"}


def verdict_properties(verdict: Verdict, result: str, *, reused: bool | None) -> list[tuple[str, object]]:
    """A verdict as flat junit properties; plain strings and numbers, so that xdist can carry them.

    ``reused`` says whether the ranking was a stored one; None where the verdict is not about a ranking.
    """
    properties: dict[str, object] = {
        "model": verdict.model,
        "dataset": verdict.dataset,
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


def header(session: EmbedSession) -> list[str]:
    """Lines for pytest's header: what will run, and where results go."""
    path = session.project_suite() or DEFAULT_SUITE
    suite = session.suite(path)
    models = ", ".join(dict.fromkeys(pair.model.alias for pair in suite.pairs)) or "none"
    datasets = ", ".join(dict.fromkeys(pair.dataset.alias for pair in suite.pairs)) or "none"
    shown = "packaged default suite" if path == DEFAULT_SUITE else _short(path)
    return [
        f"embedbench: {shown}; models: {models}; datasets: {datasets}",
        f"embedbench results: {_short(session.results)}",
    ]


def summarize(reporter: TerminalReporter, session: EmbedSession, reports: Sequence[pytest.TestReport]) -> None:
    """Print the verdict table and notes, write the cards, say where everything is."""
    properties = [dict(report.user_properties) for report in _in_order(reports) if report.when == "call"]
    reporter.section("embedbench", sep="=")
    if rows := [_row(found) for found in properties if f"{PREFIX}verdict" in found]:
        from tabulate import tabulate

        headers = ["model", "dataset", "check", "measured", "limit", "verdict"]
        reporter.write_line(tabulate(rows, headers=headers, disable_numparse=True))
        reporter.write_line("")
    paths = [Path(path) for path in dict.fromkeys(str(found[RESULT]) for found in properties if RESULT in found)]
    from pytest_embedbench.results.store import Store

    store = Store(session.results)
    results = []
    for path in paths:
        try:
            if result := store.load(path):
                results.append((path, result))
        except EmbedbenchError as error:
            reporter.write_line(f"result: not read: {error}")
    for line in _notes(result for _, result in results):
        reporter.write_line(line)
    # Of two xdist workers one made the ranking and the other one reused it: then this session made it.
    reused = {str(found[RESULT]) for found in properties if found.get(f"{PREFIX}reused") == "yes"}
    reused -= {str(found[RESULT]) for found in properties if found.get(f"{PREFIX}reused") == "no"}
    for path, result in results:
        run = result.embedbench.evidence.run
        again = " (reused: same model, data and settings)" if str(path) in reused else ""
        reporter.write_line(f"result: {_short(path)}{again}" + (f", run: {run}" if run else ""))
    for line in _write_cards(session, store, [path for path, _ in results]):
        reporter.write_line(line)


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


def _write_cards(session: EmbedSession, store: Store, paths: list[Path]) -> list[str]:
    """Write a card for each model of this session; lines that say where.

    It shows all that is stored of the model's revision, not only what ran now: ``-k`` must not shrink a card. A card
    that cannot be made never hides the results.
    """
    from pytest_embedbench.cards.write import write_cards

    template = session.option("card_template")
    path = session.config.invocation_params.dir / template if template else None
    try:
        folders = dict.fromkeys(path.parent for path in paths)
        results = [result for folder in folders for _, result in store.results(folder)]
        return [f"card: {_short(card)}" for card in write_cards(results, session.cards, path)]
    except (EmbedbenchError, ValueError, OSError) as error:
        return [f"card: not written: {error}"]


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
