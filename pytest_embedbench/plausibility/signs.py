"""Signs of a wrong evaluation that are no proof of one: warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_embedbench.catalog import published
from pytest_embedbench.core.measures import Measure, parse_measure
from pytest_embedbench.plausibility.rows import Finding, Row, Value, finding

DIFFERENCE = 0.01
"""How far a score may be from the published one of the same model and data: prompts, precision and ties make less."""

LOW_RECALL = 0.5
PLAIN = 0.05
"""A score that cannot round to 0."""


def check_published(row: Row) -> Iterator[Finding]:
    """Scores that differ from what is published of the same model on the same dataset."""
    known = published.scores_of(row.model, row.dataset, row.split)
    if known is None:
        return
    pairs = {
        name: (row.scores[measure], value)
        for name, value in known.values.items()
        if (measure := parse_measure(name)) in row.scores
    }
    far = {name: pair for name, pair in pairs.items() if abs(pair[0].value - pair[1]) > DIFFERENCE + pair[0].half}
    if far:
        shown = ", ".join(f"{name} {stated} (published {value:.6g})" for name, (stated, value) in far.items())
        values = {name: stated.value for name, (stated, _) in far.items()}
        values |= {f"published {name}": value for name, (_, value) in far.items()}
        message = f"differs by more than {DIFFERENCE} from published values: {shown}; source: {known.source}"
        yield finding(row, "warning", "published", message, **values)


def check_counts(row: Row) -> Iterator[Finding]:
    """A corpus or a set of queries of another size than the published one of that name."""
    known = published.size_of(row.dataset)
    if known is None:
        return
    shown = f"{known.documents:,} documents, {known.unique_texts:,} distinct texts"
    if row.documents and not _any_within(row.documents, known.documents, known.unique_texts):
        message = f"corpus count {row.documents.value:,.0f} is not the published one ({shown}; {known.source})"
        yield finding(row, "warning", "count", message, corpus=row.documents.value, published=known.documents)
    if row.queries and row.split in {"", known.split} and not _any_within(row.queries, known.queries):
        message = f"query count {row.queries.value:,.0f} is not the published one ({known.queries:,}; {known.source})"
        yield finding(row, "warning", "count", message, queries=row.queries.value, published=known.queries)


def _any_within(value: Value, *known: int) -> bool:
    return any(value.low <= number <= value.high for number in known)


def check_full_marks(row: Row) -> Iterator[Finding]:
    """nDCG@k of 1.000 with low recall: nothing but relevant documents in the first k, and most of them not there."""
    for measure, value in row.scores.items():
        recall = row.scores.get(Measure("recall", measure.k))
        if measure.family == "ndcg" and recall and value.high >= 1 and recall.high < LOW_RECALL:
            message = (
                f"{measure} is {value} with {Measure('recall', measure.k)} {recall}: every first page is all relevant, "
                "so check which share of the corpus is judged relevant (recall cannot exceed the mean of "
                f"min({measure.k}, R)/R over queries with R relevant documents)"
            )
            yield finding(row, "warning", "full-marks", message, ndcg=value.value, recall=recall.value)


def contradicted_zeros(scores: Mapping[Measure, Value]) -> dict[Measure, Measure]:
    """Measures that are exactly 0 although another one has hits in as few ranks, each with that other one.

    One relevant document in the first k makes every measure at k positive. The other must be large enough that a small
    positive number cannot have been rounded to 0.
    """
    found = {}
    for measure, value in scores.items():
        if value.value == 0:
            others = (other for other, stated in scores.items() if other.k <= measure.k and stated.value >= PLAIN)
            if other := next(others, None):
                found[measure] = other
    return found


def check_zeros(row: Row) -> Iterator[Finding]:
    """Zeros that stand for "not available"."""
    zeros = contradicted_zeros(row.scores)
    if zeros:
        other = next(iter(zeros.values()))
        message = (
            f"{', '.join(map(str, zeros))} 0 beside {other} {row.scores[other]}: one hit makes every measure of "
            'that cut positive. If 0 stands for "not available", leave the score out'
        )
        values = {str(measure): 0.0 for measure in zeros} | {str(other): row.scores[other].value}
        yield finding(row, "warning", "zero", message, **values)
