"""``embedbench score``: score a run that another tool has made."""

from __future__ import annotations

from pathlib import Path

import click

DEFAULT_METRICS = ("ndcg@10", "map@10", "mrr@10", "recall@100")
"""Metrics that are printed without ``--metric``."""


@click.command("score")
@click.argument("run", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--data",
    required=True,
    metavar="FOLDER_OR_NAME",
    help="Dataset that the run ranks; FOLDER@SPLIT for a split other than test.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    help="Metric to print; repeatable (default: ndcg@10, map@10, mrr@10, recall@100).",
)
@click.option("--name", default="", help="Name of the model in a stored result (default: the run's tag).")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Results folder in which to store the result."
)
def score(run: Path, data: str, metrics: tuple[str, ...], name: str, out: Path | None) -> None:
    """Score a RUN that another tool has made.

    RUN is a file in TREC's format (query Q0 document rank score tag), plain or .gz. Means are over all judged queries,
    as with trec_eval -c: a query that the run lacks scores 0. A result stored with --out has the run and the values per
    query, so that `card`, `compare`, `leaderboard` and `judge` can use it.
    """
    from pytest_embedbench.cli.data_option import find_datasets
    from pytest_embedbench.core.measures import DEFAULT_MEASURES, parse_measure
    from pytest_embedbench.core.parsing import parse_at
    from pytest_embedbench.datasets.load import load_dataset
    from pytest_embedbench.evaluate.metrics import means
    from pytest_embedbench.results.external_runs import compare_with_data, read_external, score_external, store_external
    from pytest_embedbench.results.store import Store

    shown = [parse_at("--metric", parse_measure, metric) for metric in metrics or DEFAULT_METRICS]
    (named,) = find_datasets([data])
    external = read_external(run)
    dataset = load_dataset(named)
    findings = [*dataset.findings, *external.findings, *compare_with_data(external.run, dataset, shown)]
    # Default metrics are scored even if not printed, so that a stored result fits beside those of pytest.
    counted, scores = score_external(external.run, dataset, list(dict.fromkeys([*shown, *DEFAULT_MEASURES])))
    mean = means(scores)
    for measure in dict.fromkeys(map(str, shown)):
        click.echo(f"{measure}\t{mean[measure]:.4f}")
    for finding in findings:
        first = f", first: {finding.first[:60]}" if finding.first else ""
        click.echo(f"note: {finding.message} ({finding.count:,}{first})")
    if out:
        path, replaced = store_external(Store(out), name or external.tag, f"run {run.name}", dataset, counted, scores)
        click.echo(path)
        if replaced:
            click.echo(f"note: an earlier result, of {replaced}, is replaced; --name keeps runs apart")
