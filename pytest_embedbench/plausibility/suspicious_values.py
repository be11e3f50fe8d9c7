"""Warn of signs of a wrong evaluation that are not a proof."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_embedbench.catalog import published
from pytest_embedbench.core.measures import Measure, parse_measure
from pytest_embedbench.plausibility.rows import PlausibilityFinding, ReportedRow, ReportedValue, finding_about

MAX_DIFFERENCE = 0.01
"""Allowed difference from the published score of the same model and data; prompts, precision and ties cause less."""

LOW_RECALL = 0.5
"""Recall below which an nDCG of 1 is suspicious."""
CLEARLY_POSITIVE = 0.05
"""Smallest score that proves hits; another measure of that ranking is then too large to round to 0."""


def check_published(row: ReportedRow) -> Iterator[PlausibilityFinding]:
    """Find scores that differ from those published for the same model on the same dataset."""
    known = published.scores_of(row.model, row.dataset, row.split)
    if known is None:
        return
    pairs = {
        name: (row.scores[measure], value)
        for name, value in known.values.items()
        if (measure := parse_measure(name)) in row.scores
    }
    far = {name: pair for name, pair in pairs.items() if abs(pair[0].value - pair[1]) > MAX_DIFFERENCE + pair[0].half}
    if far:
        shown = ", ".join(f"{name} {stated} (published {value:.6g})" for name, (stated, value) in far.items())
        values = {name: stated.value for name, (stated, _) in far.items()}
        values |= {f"published {name}": value for name, (_, value) in far.items()}
        message = f"differs by more than {MAX_DIFFERENCE} from published values: {shown}; source: {known.source}"
        yield finding_about(row, "warning", "published", message, **values)


def check_counts(row: ReportedRow) -> Iterator[PlausibilityFinding]:
    """Find a corpus or a set of queries whose size is not the published one."""
    known = published.size_of(row.dataset)
    if known is None:
        return
    shown = f"{known.documents:,} documents, {known.unique_texts:,} distinct texts"
    # Tools count either all documents or distinct texts; both are right.
    if row.documents and not _any_within(row.documents, known.documents, known.unique_texts):
        message = f"corpus count {row.documents.value:,.0f} is not the published one ({shown}; {known.source})"
        yield finding_about(row, "warning", "count", message, corpus=row.documents.value, published=known.documents)
    # The published count is that of one split.
    if row.queries and row.split in {"", known.split} and not _any_within(row.queries, known.queries):
        message = f"query count {row.queries.value:,.0f} is not the published one ({known.queries:,}; {known.source})"
        yield finding_about(row, "warning", "count", message, queries=row.queries.value, published=known.queries)


def _any_within(value: ReportedValue, *known: int) -> bool:
    return any(value.low <= number <= value.high for number in known)


def check_full_marks(row: ReportedRow) -> Iterator[PlausibilityFinding]:
    """Find nDCG@k of 1.000 with low recall: all of the first k are relevant, yet most relevant ones are missing."""
    for measure, value in row.scores.items():
        recall = row.scores.get(Measure("recall", measure.k))
        if measure.family == "ndcg" and recall and value.high >= 1 and recall.high < LOW_RECALL:
            message = (
                f"{measure} is {value} with {Measure('recall', measure.k)} {recall}: every first page is all relevant, "
                "so check which share of the corpus is judged relevant (recall cannot exceed the mean of "
                f"min({measure.k}, R)/R over queries with R relevant documents)"
            )
            yield finding_about(row, "warning", "full-marks", message, ndcg=value.value, recall=recall.value)


def contradicted_zeros(scores: Mapping[Measure, ReportedValue]) -> dict[Measure, Measure]:
    """Return each measure that is exactly 0 although another one proves hits, with that other measure.

    The other measure looks no deeper into the ranking: one relevant document in the first k makes every measure at k
    positive. It must also be so large that a small positive number cannot have been rounded to 0.
    """
    contradicted = {}
    for measure, value in scores.items():
        if value.value == 0:
            others = (
                other for other, stated in scores.items() if other.k <= measure.k and stated.value >= CLEARLY_POSITIVE
            )
            if other := next(others, None):
                contradicted[measure] = other
    return contradicted


def check_zeros(row: ReportedRow) -> Iterator[PlausibilityFinding]:
    """Find zeros that stand for "not available"."""
    zeros = contradicted_zeros(row.scores)
    if zeros:
        other = next(iter(zeros.values()))
        message = (
            f"{', '.join(map(str, zeros))} 0 beside {other} {row.scores[other]}: one hit makes every measure of "
            'that cut positive. If 0 stands for "not available", leave the score out'
        )
        values = {str(measure): 0.0 for measure in zeros} | {str(other): row.scores[other].value}
        yield finding_about(row, "warning", "zero", message, **values)
