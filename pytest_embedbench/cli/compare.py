"""``embedbench compare``: two sets of stored results, with significance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from pytest_embedbench.checks.regression import Tested
    from pytest_embedbench.results.sides import Match, Unmatched


class Line(NamedTuple):
    """One comparison as it is shown; ``difference`` is B - A, p-values are those of the chosen question."""

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
@click.option("--metric", "metrics", multiple=True, default=("ndcg@10",), show_default=True, help="Repeatable.")
@click.option("--models", multiple=True, metavar="A=B", help="Compare model A of A with model B of B; repeatable.")
@click.option(
    "--confidence", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.95, show_default=True
)
@click.option("--fail-on-regression", is_flag=True, help="Exit with 1 where B is worse than A, or has other data.")
@click.option("--max-drop", type=click.FloatRange(0, 1), default=0.005, show_default=True, help="Drop that passes.")
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

    A and B are results folders, single result files, baselines, or GIT-REF:PATH of a baseline. Pairs belong together
    when dataset and model have the same names; with one model on each side, that one.

    The test is a paired randomization test over queries, two-sided. With --fail-on-regression A is the baseline: the
    test is one-sided, as in pytest, and a drop of more than --max-drop that is significant is a regression.
    """
    from pytest_embedbench.core.measures import parse_measure
    from pytest_embedbench.results.sides import match, read_side

    names = list(dict.fromkeys(str(parse_measure(metric)) for metric in metrics))
    found, left = match(read_side(a, "A"), read_side(b, "B"), names, _models(models))
    gate = max_drop if fail_on_regression else None
    lines = _compared(found, names, confidence, gate)
    if as_json:
        click.echo(_json(lines, left, confidence, one_sided=fail_on_regression))
    else:
        _show(lines, left, confidence, one_sided=fail_on_regression)
    if not lines and not any(one.means for one in left):
        raise click.ClickException("nothing to compare: A and B have no dataset and model in common")
    if fail_on_regression and (any(line.verdict == "regression" for line in lines) or any(x.other_data for x in left)):
        raise click.exceptions.Exit(1)


def _models(pairs: Sequence[str]) -> dict[str, str]:
    models = {}
    for text in pairs:
        mine, separator, theirs = text.partition("=")
        if not separator or not mine or not theirs:
            raise click.UsageError(f"--models: {text!r} is not A=B")
        models[mine] = theirs
    return models


def _compared(found: Sequence[Match], metrics: Sequence[str], confidence: float, gate: float | None) -> list[Line]:
    from pytest_embedbench.checks.regression import adjust_together
    from pytest_embedbench.checks.significance import compare as compare_values
    from pytest_embedbench.checks.significance import holm

    every = [(both, metric) for both in found for metric in metrics]
    paired = []
    for both, metric in every:
        before, now = both.a.scores[metric], both.b.scores[metric]
        values = [before[query] for query in now], list(now.values())
        paired.append(compare_values(*values, confidence=confidence, tests=len(every)))
    tested = adjust_together(paired)
    if gate is None:
        shown = [(one.p_two_sided, adjusted) for one, adjusted in
                 zip(paired, holm([one.p_two_sided for one in paired]), strict=True)]  # fmt: skip
    else:
        shown = [(one.found.p_drop, one.drop_p) for one in tested]
    return [
        _line(both, metric, one, p, confidence, gate)
        for (both, metric), one, p in zip(every, tested, shown, strict=True)
    ]


def _line(
    both: Match, metric: str, tested: Tested, p: tuple[float, float], confidence: float, gate: float | None
) -> Line:
    from pytest_embedbench.checks.significance import level

    found = tested.found
    if not found.changed:
        verdict = "same"
    elif gate is not None and tested.is_regression(gate, confidence):
        verdict = "regression"
    elif p[1] < level(confidence):
        verdict = "worse" if found.drop > 0 else "better"
    else:
        verdict = "not significant"
    return Line(
        model=both.model,
        dataset=both.a.dataset,
        metric=metric,
        queries=found.queries,
        a=found.before,
        b=found.now,
        difference=found.now - found.before,
        low=-found.high,
        high=-found.low,
        p=p[0],
        holm_p=p[1],
        detectable=tested.detectable(confidence),
        verdict=verdict,
    )


def _show(lines: Sequence[Line], left: Sequence[Unmatched], confidence: float, *, one_sided: bool) -> None:
    from tabulate import tabulate

    interval = f"{100 * confidence:g}% interval"
    headers = ["model", "dataset", "metric", "queries", "A", "B", "B - A", interval, "p", "Holm p", "verdict"]
    rows = [
        [
            line.model, line.dataset, line.metric, str(line.queries), f"{line.a:.4f}", f"{line.b:.4f}",
            f"{line.difference:+.4f}", "" if math.isnan(line.low) else f"{line.low:+.4f} to {line.high:+.4f}",
            f"{line.p:.2g}", f"{line.holm_p:.2g}", line.verdict,
        ]
        for line in lines
    ]  # fmt: skip
    if rows:
        click.echo(tabulate(rows, headers=headers, disable_numparse=True))
        sided = "one-sided for a drop" if one_sided else "two-sided"
        together = f"; Holm's correction over {len(lines)} comparisons" if len(lines) > 1 else ""
        click.echo(f"\npaired randomization test over queries, {sided}{together}")
    for line in lines:
        if line.verdict == "not significant":
            least = f"a drop of {line.detectable:.4f} or more" if math.isfinite(line.detectable) else "no drop"
            where = f"{line.model} on {line.dataset}, {line.metric}"
            click.echo(f"{where}: {line.queries} queries detect {least} (power 80%, one-sided)")
    for one in left:
        for metric, (before, now) in one.means.items():
            click.echo(
                f"{one.model} on {one.dataset}, {metric}: A {before:.4f}, B {now:.4f}, B - A {now - before:+.4f}"
            )
        click.echo(f"not {'tested' if one.means else 'compared'}: {one.model} on {one.dataset}: {one.reason}")


def _json(lines: Sequence[Line], left: Sequence[Unmatched], confidence: float, *, one_sided: bool) -> str:
    import msgspec

    data = {
        "confidence": confidence,
        "test": "one-sided for a drop" if one_sided else "two-sided",
        "comparisons": [line._asdict() for line in lines],
        "means_only": [
            {"model": one.model, "dataset": one.dataset, "metric": metric, "a": a, "b": b, "reason": one.reason}
            for one in left
            for metric, (a, b) in one.means.items()
        ],
        "not_compared": [
            {"model": one.model, "dataset": one.dataset, "reason": one.reason, "other_data": one.other_data}
            for one in left
            if not one.means
        ],
    }
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode()
