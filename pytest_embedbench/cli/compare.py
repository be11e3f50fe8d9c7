"""``embedbench compare``: compare two sets of stored results, with tests of significance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from pytest_embedbench.cli.numbers import Decimal
from pytest_embedbench.core import bounds
from pytest_embedbench.core.measures import MAIN_MEASURE
from pytest_embedbench.core.thresholds import DEFAULT_CONFIDENCE, DEFAULT_MAX_DROP
from pytest_embedbench.errors import ResultError

if TYPE_CHECKING:
    from pytest_embedbench.checks.significance import Tested
    from pytest_embedbench.results.matching import MatchedPair, UnmatchedPair


class ComparisonRow(NamedTuple):
    """One comparison as it is printed; the fields are also the keys of ``--json``.

    ``difference`` is B - A, with the interval ``low`` to ``high``. ``p`` and ``holm_p`` (corrected for all
    comparisons) are one-sided for a drop with ``--fail-on-regression``, otherwise two-sided. ``detectable`` is the
    smallest drop that this many queries would show.
    """

    model: str
    dataset: str
    metric: str
    queries: int
    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    holm_p: float
    detectable: float
    verdict: str


@click.command("compare")
@click.argument("a")
@click.argument("b")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    default=(str(MAIN_MEASURE),),
    show_default=True,
    help="Metric to compare; repeatable.",
)
@click.option("--models", multiple=True, metavar="A=B", help="Compare model A of A with model B of B; repeatable.")
@click.option(
    "--confidence",
    type=Decimal(bounds.MIN_CONFIDENCE, bounds.MAX_CONFIDENCE),
    default=DEFAULT_CONFIDENCE,
    show_default=True,
    help="Confidence of intervals and tests.",
)
@click.option("--fail-on-regression", is_flag=True, help="Exit with 1 if B has a regression, or other data than A.")
@click.option(
    "--max-drop",
    type=Decimal(0, 1),
    default=DEFAULT_MAX_DROP,
    show_default=True,
    help="With --fail-on-regression: largest drop of a metric that passes.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def compare(
    *,
    a: str,
    b: str,
    metrics: tuple[str, ...],
    models: tuple[str, ...],
    confidence: float,
    fail_on_regression: bool,
    max_drop: float,
    as_json: bool,
) -> None:
    """Compare the stored results A with B, pair by pair.

    A and B are results folders, single result files, baselines, or GIT-REF:PATH of a baseline. A pair is a dataset
    and a model of the same names in A and B; if each side has one model only, these two are compared whatever their
    names.

    The test is a two-sided paired randomization test over queries. With --fail-on-regression, A is the baseline and
    the test is one-sided, as in pytest: a significant drop of more than --max-drop is a regression.
    """
    from pytest_embedbench.core.measures import parse_measure
    from pytest_embedbench.core.parsing import parse_at
    from pytest_embedbench.results.matching import match_sides, read_side

    names = list(dict.fromkeys(str(parse_at("--metric", parse_measure, metric)) for metric in metrics))
    matches, unmatched = match_sides(read_side(a, "A"), read_side(b, "B"), names, _model_pairs(models))
    limit = max_drop if fail_on_regression else None
    rows = _comparisons(matches, names, confidence, limit)
    notes = {f"{pair.model} on {pair.a.dataset}": pair.note for pair in matches if pair.note}
    if as_json:
        click.echo(_json(rows, unmatched, confidence, notes, one_sided=fail_on_regression))
    else:
        _show(rows, unmatched, confidence, one_sided=fail_on_regression)
        for pair, note in notes.items():
            click.echo(f"note: {pair}: {note}")
    # Raised after the output, which has the reason for each pair that is not compared.
    if not rows and not any(pair.means for pair in unmatched):
        raise ResultError("nothing to compare: A and B have no dataset and model in common")
    failed = any(row.verdict == "regression" for row in rows) or any(pair.other_data for pair in unmatched)
    if fail_on_regression and failed:
        raise click.exceptions.Exit(1)


def _model_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """Read values of ``--models``: model of A -> model of B."""
    models = {}
    for text in pairs:
        model_a, separator, model_b = text.partition("=")
        if not separator or not model_a or not model_b:
            raise click.UsageError(f"--models: {text!r} is not A=B")
        models[model_a] = model_b
    return models


def _comparisons(
    matches: Sequence[MatchedPair], metrics: Sequence[str], confidence: float, max_drop: float | None
) -> list[ComparisonRow]:
    """Compare each metric of each match; with a ``max_drop``, A is the baseline and p-values are one-sided."""
    from pytest_embedbench.checks.significance import adjust_together, holm
    from pytest_embedbench.checks.significance import compare as compare_values

    compared = [(pair, metric) for pair in matches for metric in metrics]
    paired = []
    for pair, metric in compared:
        # Both have the same queries; the test needs them in the same order.
        scores_a, scores_b = pair.a.scores[metric], pair.b.scores[metric]
        values = [scores_a[query] for query in scores_b], list(scores_b.values())
        paired.append(compare_values(*values, confidence=confidence, tests=len(compared)))
    tested = adjust_together(paired)
    # The two questions: do A and B differ (two-sided), or has B dropped below the baseline A (one-sided).
    if max_drop is None:
        p_values = [result.p_two_sided for result in paired]
        p_pairs = list(zip(p_values, holm(p_values), strict=True))
    else:
        p_pairs = [(result.paired.p_drop, result.drop_p) for result in tested]
    return [
        _row(pair, metric, result, p_pair, confidence, max_drop)
        for (pair, metric), result, p_pair in zip(compared, tested, p_pairs, strict=True)
    ]


def _row(
    pair: MatchedPair,
    metric: str,
    tested: Tested,
    p_pair: tuple[float, float],
    confidence: float,
    max_drop: float | None,
) -> ComparisonRow:
    from pytest_embedbench.checks.significance import level

    result = tested.paired
    p, holm_p = p_pair
    if not result.changed:
        verdict = "same"
    elif max_drop is not None and tested.is_regression(max_drop, confidence):
        verdict = "regression"
    elif holm_p < level(confidence):
        verdict = "worse" if result.drop > 0 else "better"
    else:
        verdict = "not significant"
    return ComparisonRow(
        model=pair.model,
        dataset=pair.a.dataset,
        metric=metric,
        queries=result.queries,
        a=result.before,
        b=result.now,
        difference=result.now - result.before,
        # The interval is that of the drop A - B. For B - A its ends change sign and place.
        low=-result.high,
        high=-result.low,
        p=p,
        holm_p=holm_p,
        detectable=tested.detectable(confidence),
        verdict=verdict,
    )


def _show(
    rows: Sequence[ComparisonRow], unmatched: Sequence[UnmatchedPair], confidence: float, *, one_sided: bool
) -> None:
    if rows:
        click.echo(_table(rows, confidence))
        sides = "one-sided for a drop" if one_sided else "two-sided"
        correction = f"; Holm's correction over {len(rows)} comparisons" if len(rows) > 1 else ""
        click.echo(f"\npaired randomization test over queries, {sides}{correction}")
    for row in rows:
        if row.verdict == "not significant":
            drop = f"a drop of {row.detectable:.4f} or more" if math.isfinite(row.detectable) else "no drop"
            names = f"{row.model} on {row.dataset}, {row.metric}"
            click.echo(f"{names}: {row.queries} queries detect {drop} (power 80%, one-sided)")
    for pair in unmatched:
        for metric, (a, b) in pair.means.items():
            click.echo(f"{pair.model} on {pair.dataset}, {metric}: A {a:.4f}, B {b:.4f}, B - A {b - a:+.4f}")
        click.echo(f"not {'tested' if pair.means else 'compared'}: {pair.model} on {pair.dataset}: {pair.reason}")


def _table(rows: Sequence[ComparisonRow], confidence: float) -> str:
    from tabulate import tabulate

    interval = f"{100 * confidence:g}% interval"
    headers = ["model", "dataset", "metric", "queries", "A", "B", "B - A", interval, "p", "Holm p", "verdict"]
    cells = [
        [
            row.model, row.dataset, row.metric, str(row.queries), f"{row.a:.4f}", f"{row.b:.4f}",
            f"{row.difference:+.4f}", "" if math.isnan(row.low) else f"{row.low:+.4f} to {row.high:+.4f}",
            f"{row.p:.2g}", f"{row.holm_p:.2g}", row.verdict,
        ]
        for row in rows
    ]  # fmt: skip
    # Left to parse numbers, tabulate would show 0.3400 as 0.34.
    return tabulate(cells, headers=headers, disable_numparse=True)


def _json(
    rows: Sequence[ComparisonRow],
    unmatched: Sequence[UnmatchedPair],
    confidence: float,
    notes: Mapping[str, str],
    *,
    one_sided: bool,
) -> str:
    import msgspec

    data = {
        "confidence": confidence,
        "test": "one-sided for a drop" if one_sided else "two-sided",
        "comparisons": [row._asdict() for row in rows],
        "means_only": [
            {"model": pair.model, "dataset": pair.dataset, "metric": metric, "a": a, "b": b, "reason": pair.reason}
            for pair in unmatched
            for metric, (a, b) in pair.means.items()
        ],
        "not_compared": [
            {"model": pair.model, "dataset": pair.dataset, "reason": pair.reason, "other_data": pair.other_data}
            for pair in unmatched
            if not pair.means
        ],
        "notes": notes,
    }
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
