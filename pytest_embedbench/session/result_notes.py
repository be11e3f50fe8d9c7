"""Lines that pytest shows below the verdict table: notes on the results that no verdict shows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pytest_embedbench.checks.budget import BINDS_ON
from pytest_embedbench.session.properties import read_notes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pytest

    from pytest_embedbench.results.schema import PairResult
    from pytest_embedbench.session.outputs import StoredResult
    from pytest_embedbench.session.properties import ItemRecord

MIN_TRUNCATED_SHARE = 0.01
"""Share of texts, 0 to 1; below it, a note on truncated texts is not worth a line."""


def verdict_notes(records: Iterable[ItemRecord]) -> Iterator[str]:
    """Yield the explanations of checks that did not fail, e.g. how close a comparison was.

    Explanations of failed checks stand in pytest's own report.
    """
    for record in records:
        if record.verdict in {"passed", "measured"}:
            for line in record.explanation.splitlines():
                yield f"{record.model} on {record.dataset}: {line}"


def dataset_notes(results: Iterable[PairResult]) -> list[str]:
    """Return what is wrong in the datasets' files: one line for each finding, each dataset once."""
    lines = {}
    for result in results:
        dataset = result.embedbench.dataset
        for finding in dataset.findings:
            first = f", first: {finding.first[:60]}" if finding.first else ""
            line = f"note: {dataset.name}: {finding.message} ({finding.count:,}{first})"
            lines[dataset.name, finding.code] = line
    return list(lines.values())


def truncation_notes(results: Iterable[PairResult]) -> Iterator[str]:
    """Yield a line for each side whose texts often fill the model's longest input: longer texts are cut there."""
    for result in results:
        details = result.embedbench
        for side, texts in (("corpus", details.dataset.unique_texts), ("query", details.dataset.queries)):
            full = int(details.effort.get(f"{side}_full_texts", 0))
            if texts and full / texts >= MIN_TRUNCATED_SHARE:
                names = f"{details.model.alias} on {details.dataset.name}"
                limit = f"{details.model.facts.max_tokens:,} tokens that the model takes"
                count = f"{full:,} of {texts:,} {side} texts ({full / texts:.0%}) fill the {limit}"
                yield f"note: {names}: {count}; what is longer is cut"


def plausibility_notes(results: Iterable[StoredResult]) -> Iterator[str]:
    """Yield a line for each number that no ranking can produce, or that contradicts published numbers."""
    from pytest_embedbench.plausibility.check import check_result

    for path, result in results:
        for finding in check_result(result, path.name):
            yield f"doubt: {finding}"


def work_notes(reports: Iterable[pytest.TestReport]) -> list[str]:
    """Return what the workbenches noted while they worked, each note once: xdist's workers may note the same."""
    return [f"note: {note}" for note in dict.fromkeys(note for report in reports for note in read_notes(report))]


def other_hardware(records: Iterable[ItemRecord]) -> list[str]:
    """Return a line that counts the budgets that do not bind on this machine, by the hardware that they are for."""
    counts = Counter(
        record.explanation.removeprefix(BINDS_ON).partition(";")[0]
        for record in records
        if record.verdict == "skipped" and record.explanation.startswith(BINDS_ON)
    )
    if not counts:
        return []
    total = counts.total()
    budgets, they = ("budgets", "they bind") if total > 1 else ("budget", "it binds")
    where = next(iter(counts)) if len(counts) == 1 else ", ".join(f"{name} ({count})" for name, count in counts.items())
    return [f"{total} {budgets} not judged here: {they} on {where}"]
