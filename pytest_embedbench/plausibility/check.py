"""Run all plausibility checks on rows of reported numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from pytest_embedbench.catalog import published
from pytest_embedbench.core.measures import Measure
from pytest_embedbench.plausibility.exact import EXACT_CUTS, rr_range
from pytest_embedbench.plausibility.inequalities import PRECISION_AT_1, Bound, binary_bounds, graded_bounds
from pytest_embedbench.plausibility.latency import check_fixed_ratios, check_samples
from pytest_embedbench.plausibility.rows import FindingLevel, Grading, PlausibilityFinding, ReportedRow, finding_about
from pytest_embedbench.plausibility.sources import result_row
from pytest_embedbench.plausibility.suspicious_values import (
    check_counts,
    check_full_marks,
    check_published,
    check_zeros,
    contradicted_zeros,
)
from pytest_embedbench.results.schema import PairResult


def check_result(result: PairResult, file: str = "") -> list[PlausibilityFinding]:
    """Return findings about one of the project's own results; they name ``file``."""
    return check_rows([result_row(result, file)])


def check_rows(rows: Iterable[ReportedRow]) -> list[PlausibilityFinding]:
    """Return all findings: row by row, then those that need several rows of one model."""
    rows = list(rows)
    return [*(finding for row in rows for finding in check_row(row)), *check_fixed_ratios(rows)]


def check_row(row: ReportedRow) -> Iterator[PlausibilityFinding]:
    """Yield the findings of one row: impossible numbers first, then suspicious ones."""
    outside = [measure for measure, value in row.scores.items() if not (value.high >= 0 and value.low <= 1)]
    for measure in outside:
        yield _outside(row, measure)
    if not outside:  # otherwise the same mistake would break most bounds too
        yield from _check_ranking(row)
    yield from check_samples(row)
    yield from check_full_marks(row)
    yield from check_counts(row)
    yield from check_published(row)


def _outside(row: ReportedRow, measure: Measure) -> PlausibilityFinding:
    value = row.scores[measure].value
    # Cards often print 14.47 for 0.1447; up to 100 that is the likely cause.
    hint = "; is it in percent?" if 1 < value <= 100 else ""  # noqa: PLR2004 - percent
    message = f"impossible: {measure} is {value:.6g}, not between 0 and 1{hint}"
    return finding_about(row, "error", "range", message, **{str(measure): value})


def _check_ranking(row: ReportedRow) -> Iterator[PlausibilityFinding]:
    """Apply the bounds and the exact test, without zeros that stand for "not available"."""
    yield from check_zeros(row)
    # Such a zero is reported once, above; left in, it would break most bounds and hide real contradictions.
    zeros = contradicted_zeros(row.scores)
    row = replace(row, scores={measure: value for measure, value in row.scores.items() if measure not in zeros})
    broken: list[Bound] = []
    for bound in graded_bounds(row.scores):
        # A contradiction between neighbouring cuts shows in wider pairs too, and is told once.
        if bound.violated(row.scores) and not any(bound.covers(other) for other in broken):
            broken.append(bound)
            yield _broken(row, bound, "error")
    yield from _check_first_rank(row)
    grading = _grading(row)
    if grading != "graded":
        # Unknown grading: the row is impossible only if the judgments are binary, so this is a note.
        yield from _check_binary(row, "error" if grading else "note")


def _grading(row: ReportedRow) -> Grading:
    """Return the grading that the row states or that is published for its dataset; otherwise infer it.

    With a single grade nDCG@1 = P@1. A lower nDCG@1 means that a first document was relevant but not the best, so the
    judgments are graded. Without such evidence the grading is unknown.
    """
    if row.judgments:
        return row.judgments
    if known := published.size_of(row.dataset):
        return known.judgments
    ndcg, precision = row.scores.get(Measure("ndcg", 1)), row.scores.get(PRECISION_AT_1)
    return "graded" if ndcg and precision and ndcg.high < precision.low else ""


def _broken(
    row: ReportedRow, bound: Bound, level: FindingLevel, *, rule: str = "bound", condition: str = ""
) -> PlausibilityFinding:
    # The printed numbers, for a reader to recompute; the bound was tested with the widest values that round to them.
    left, limit = row.scores[bound.left], bound.limit(row.scores)
    message = f"impossible{condition}: {bound} fails: {left} > {limit:.4g} ({bound.right} is {row.scores[bound.right]})"
    values = {str(bound.left): left.value, str(bound.right): row.scores[bound.right].value, "limit": limit}
    return finding_about(row, level, rule, message, **values)


def _check_first_rank(row: ReportedRow) -> Iterator[PlausibilityFinding]:
    """Check that P@1 = RR@1, by definition; a difference shows that two measures break ties differently."""
    precision, reciprocal = row.scores.get(PRECISION_AT_1), row.scores.get(Measure("mrr", 1))
    if precision and reciprocal and (precision.low > reciprocal.high or reciprocal.low > precision.high):
        message = (
            f"precision@1 = mrr@1 by definition, but they are {precision} and {reciprocal}: "
            "equal scores are ordered differently by two measures"
        )
        values = {"precision@1": precision.value, "mrr@1": reciprocal.value}
        yield finding_about(row, "note", "first-rank", message, **values)


def _check_binary(row: ReportedRow, level: FindingLevel) -> Iterator[PlausibilityFinding]:
    # If the grading is unknown, the message must say on which assumption the numbers are impossible.
    condition = "" if level == "error" else ", if all relevant documents have one grade"
    for bound in binary_bounds(row.scores):
        if bound.violated(row.scores):
            yield _broken(row, bound, level, rule="binary-bound", condition=condition)
    for k in EXACT_CUTS:
        measures = [Measure(family, k) for family in ("ndcg", "map", "mrr")]
        if all(measure in row.scores for measure in measures):
            yield from _check_exactly(row, level, condition, measures)


def _check_exactly(
    row: ReportedRow, level: FindingLevel, condition: str, measures: Sequence[Measure]
) -> Iterator[PlausibilityFinding]:
    ndcg, ap, rr = (row.scores[measure] for measure in measures)
    names = dict(zip(measures, (ndcg, ap, rr), strict=True))
    allowed = rr_range(measures[0].k, ndcg, ap)
    stated = f"{measures[0]} {ndcg} with {measures[1]} {ap}"
    if allowed is None:
        problem = f"no binary ranking has {stated}"
    elif rr.high < allowed.low:
        problem = f"{stated} needs {measures[2]} >= {allowed.low:.4f}, found {rr} (binary judgments)"
    elif rr.low > allowed.high:
        problem = f"{stated} allows {measures[2]} <= {allowed.high:.4f}, found {rr} (binary judgments)"
    else:
        return
    values = {str(name): value.value for name, value in names.items()}
    if allowed:
        values |= {"lowest": allowed.low, "highest": allowed.high}
    yield finding_about(row, level, "exact", f"impossible{condition}: {problem}", **values)
