"""``embedbench export``: write results for the Hub, and judgments for trec_eval."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_embedbench.errors import DatasetError, ResultError


@click.group("export")
def export() -> None:
    """Write results and judgments in the formats of other tools."""


@export.command("hub")
@click.argument("results", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option("--source-url", default="", metavar="URL", help="Where the results are published; the Hub links to it.")
def hub(results: Path, out: Path, source_url: str) -> None:
    """Write the files that repositories of models on the Hub get.

    For each model of a RESULTS folder, OUT/<org>__<model>/README.md is the model card with a `model-index` in its front
    matter; .eval_results/ beside it has a file for each dataset that is on the Hub. Nothing is uploaded.
    """
    from pytest_embedbench.reports.cards.hub_readme import write_hub
    from pytest_embedbench.results.store import Store

    stored = [result for _, result in Store(results).results()]
    if not stored:
        raise ResultError(f"{results} holds no results")
    if source_url and not source_url.startswith(("https://", "http://")):
        raise click.UsageError(f"--source-url: {source_url!r} is not an http(s) address")
    for path in write_hub(stored, out, source_url):
        click.echo(path)
    datasets = [result.embedbench.dataset for result in stored]
    if unnamed := sorted({dataset.name for dataset in datasets if not dataset.facts.hub_dataset}):
        reason = "nothing says where on the Hub they are (hub_dataset)"
        click.echo(f"note: in the README only, since {reason}: {', '.join(unnamed)}")


@export.command("qrels")
@click.argument("data", metavar="FOLDER_OR_NAME")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="File to write.")
def qrels(data: str, out: Path) -> None:
    """Write a dataset's judgments for trec_eval.

    trec_eval -c OUT RESULT.run.trec then gives the means that pytest has reported.
    """
    from pytest_embedbench.cli.data_option import find_datasets
    from pytest_embedbench.core.files import write_atomically
    from pytest_embedbench.datasets.load import load_dataset
    from pytest_embedbench.results.trec import dump_qrels

    (named,) = find_datasets([data])
    text = dump_qrels(load_dataset(named))
    if not text:
        raise DatasetError(f"{data} has no query with a relevant document")
    write_atomically(out, text)
    click.echo(out)
