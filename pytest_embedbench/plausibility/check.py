"""Rows in, findings out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from pytest_embedbench.catalog import published
from pytest_embedbench.core.measures import Measure
from pytest_embedbench.plausibility.exact import CUTS, rr_range
from pytest_embedbench.plausibility.inequalities import FIRST, Bound, binary_bounds, graded_bounds
from pytest_embedbench.plausibility.latency import check_fixed_ratios, check_samples
from pytest_embedbench.plausibility.rows import Finding, Judgments, Level, Row, finding
from pytest_embedbench.plausibility.signs import (
    check_counts,
    check_full_marks,
    check_published,
    check_zeros,
    contradicted_zeros,
)
from pytest_embedbench.plausibility.sources import result_row
from pytest_embedbench.results.schema import PairResult


def check_result(result: PairResult, file: str = "") -> list[Finding]:
    """What is impossible or suspicious about one of our own results; ``file`` is named in the findings."""
    return check_rows([result_row(result, file)])


def check_rows(rows: Iterable[Row]) -> list[Finding]:
    """All findings: row by row, then what only several rows of one model show."""
    rows = list(rows)
    return [*(found for row in rows for found in check_row(row)), *check_fixed_ratios(rows)]


def check_row(row: Row) -> Iterator[Finding]:
    """The findings of one row: errors, then what depends on the judgments, then signs."""
    outside = [measure for measure, value in row.scores.items() if not (value.high >= 0 and value.low <= 1)]
    for measure in outside:
        yield _outside(row, measure)
    if not outside:
        yield from _check_ranking(row)
    yield from check_samples(row)
    yield from check_full_marks(row)
    yield from check_counts(row)
    yield from check_published(row)


def _outside(row: Row, measure: Measure) -> Finding:
    value = row.scores[measure].value
    hint = "; is it in percent?" if 1 < value <= 100 else ""  # noqa: PLR2004 - percent
    message = f"impossible: {measure} is {value:.6g}, not between 0 and 1{hint}"
    return finding(row, "error", "range", message, **{str(measure): value})


def _check_ranking(row: Row) -> Iterator[Finding]:
    """Bounds and the exact test, on what is left when zeros that mean "not available" are put aside."""
    yield from check_zeros(row)
    zeros = contradicted_zeros(row.scores)
    row = replace(row, scores={measure: value for measure, value in row.scores.items() if measure not in zeros})
    for bound in graded_bounds(row.scores):
        if bound.violated(row.scores):
            yield _broken(row, bound, "error")
    yield from _check_first_rank(row)
    judgments = _judgments(row)
    if judgments != "graded":
        yield from _check_binary(row, "error" if judgments else "note")


def _judgments(row: Row) -> Judgments:
    """What is stated or known of the dataset; else graded where the scores tell, and unknown where they do not.

    With one grade nDCG@1 = P@1. A lower nDCG@1 comes of a first document that is relevant, but not the best.
    """
    if row.judgments:
        return row.judgments
    if known := published.size_of(row.dataset):
        return known.judgments
    ndcg, precision = row.scores.get(Measure("ndcg", 1)), row.scores.get(FIRST)
    return "graded" if ndcg and precision and ndcg.high < precision.low else ""


def _broken(row: Row, bound: Bound, level: Level, *, rule: str = "bound", condition: str = "") -> Finding:
    left, limit = row.scores[bound.left], bound.limit(row.scores)
    message = f"impossible{condition}: {bound} fails: {left} > {limit:.4g} ({bound.right} is {row.scores[bound.right]})"
    values = {str(bound.left): left.value, str(bound.right): row.scores[bound.right].value, "limit": limit}
    return finding(row, level, rule, message, **values)


def _check_first_rank(row: Row) -> Iterator[Finding]:
    """P@1 = RR@1 by definition; a difference tells of ties that are broken in two ways."""
    precision, reciprocal = row.scores.get(FIRST), row.scores.get(Measure("mrr", 1))
    if precision and reciprocal and (precision.low > reciprocal.high or reciprocal.low > precision.high):
        message = (
            f"precision@1 = mrr@1 by definition, but they are {precision} and {reciprocal}: "
            "equal scores are ordered differently by two measures"
        )
        values = {"precision@1": precision.value, "mrr@1": reciprocal.value}
        yield finding(row, "note", "first-rank", message, **values)


def _check_binary(row: Row, level: Level) -> Iterator[Finding]:
    condition = "" if level == "error" else ", if all relevant documents have one grade"
    for bound in binary_bounds(row.scores):
        if bound.violated(row.scores):
            yield _broken(row, bound, level, rule="binary-bound", condition=condition)
    for k in CUTS:
        measures = [Measure(family, k) for family in ("ndcg", "map", "mrr")]
        if all(measure in row.scores for measure in measures):
            yield from _check_exactly(row, level, condition, measures)


def _check_exactly(row: Row, level: Level, condition: str, measures: Sequence[Measure]) -> Iterator[Finding]:
    ndcg, ap, rr = (row.scores[measure] for measure in measures)
    names = dict(zip(measures, (ndcg, ap, rr), strict=True))
    allowed = rr_range(measures[0].k, ndcg, ap)
    given = f"{measures[0]} {ndcg} with {measures[1]} {ap}"
    if allowed is None:
        problem = f"no binary ranking has {given}"
    elif rr.high < allowed.low:
        problem = f"{given} needs {measures[2]} >= {allowed.low:.4f}, found {rr} (binary judgments)"
    elif rr.low > allowed.high:
        problem = f"{given} allows {measures[2]} <= {allowed.high:.4f}, found {rr} (binary judgments)"
    else:
        return
    values = {str(name): value.value for name, value in names.items()}
    if allowed:
        values |= {"lowest": allowed.low, "highest": allowed.high}
    yield finding(row, level, "exact", f"impossible{condition}: {problem}", **values)
