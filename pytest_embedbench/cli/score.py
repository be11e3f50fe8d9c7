"""``embedbench score``: score a run that another tool made."""

from __future__ import annotations

from pathlib import Path

import click

SHOWN = ("ndcg@10", "map@10", "mrr@10", "recall@100")
"""What is printed where no measure is asked for."""


@click.command("score")
@click.argument("run", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--data", required=True, metavar="FOLDER_OR_NAME", help="The data that it ranks; FOLDER@SPLIT too.")
@click.option("--metric", "metrics", multiple=True, help="Repeatable; else ndcg@10, map@10, mrr@10, recall@100.")
@click.option("--name", default="", help="What the model is called (default: the run's tag).")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Store a result in this results folder.")
def score(run: Path, data: str, metrics: tuple[str, ...], name: str, out: Path | None) -> None:
    """Score a RUN in TREC's format (query Q0 document rank score tag; .gz too) that any tool made.

    Means are over all judged queries, as trec_eval -c has them: a query that the run lacks scores 0. A stored result
    has the run and the values per query, so that `card`, `compare`, `leaderboard` and `judge` can use it.
    """
    from pytest_embedbench.cli.data import find_datasets
    from pytest_embedbench.core.measures import DEFAULT_MEASURES, parse_measure
    from pytest_embedbench.datasets.load import load_dataset
    from pytest_embedbench.evaluate.metrics import means
    from pytest_embedbench.results.external import compare_with_data, read_external, score_external, store_external
    from pytest_embedbench.results.store import Store

    wanted = [parse_measure(metric) for metric in metrics or SHOWN]
    (named,) = find_datasets([data])
    found = read_external(run)
    dataset = load_dataset(named)
    findings = [*dataset.findings, *found.findings, *compare_with_data(found.run, dataset, wanted)]
    counted, scores = score_external(found.run, dataset, list(dict.fromkeys([*wanted, *DEFAULT_MEASURES])))
    mean = means(scores)
    for measure in dict.fromkeys(map(str, wanted)):
        click.echo(f"{measure}\t{mean[measure]:.4f}")
    for finding in findings:
        first = f", first: {finding.first[:60]}" if finding.first else ""
        click.echo(f"note: {finding.message} ({finding.count:,}{first})")
    if out:
        click.echo(store_external(Store(out), name or found.tag, f"run {run.name}", dataset, counted, scores))
