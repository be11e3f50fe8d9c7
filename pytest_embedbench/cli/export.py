"""``embedbench export``: results for the Hub, judgments for trec_eval."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("export")
def export() -> None:
    """Write what is stored in the forms of others."""


@export.command("hub")
@click.argument("results", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--source-url", default="", metavar="URL", help="Where the evidence is; the Hub links to it.")
def hub(results: Path, out: Path, source_url: str) -> None:
    """For each model of a RESULTS folder, write what its repository on the Hub gets.

    OUT/<org>__<model>/README.md is the model card with a `model-index` in its front matter, and .eval_results/ has a
    file for each dataset that is on the Hub. Nothing is uploaded.
    """
    from pytest_embedbench.reports.cards.hub_readme import write_hub
    from pytest_embedbench.results.store import Store

    found = [result for _, result in Store(results).results()]
    if not found:
        raise click.ClickException(f"{results} holds no results")
    if source_url and not source_url.startswith(("https://", "http://")):
        raise click.UsageError(f"--source-url: {source_url!r} is no http(s) address")
    for path in write_hub(found, out, source_url):
        click.echo(path)
    absent = {dataset.name for one in found if not (dataset := one.embedbench.dataset).facts.hub_dataset}
    if absent:
        named = ", ".join(sorted(absent))
        click.echo(f"note: in the README only, since nothing says where on the Hub they are (hub_dataset): {named}")


@export.command("qrels")
@click.argument("data", metavar="FOLDER_OR_NAME")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path))
def qrels(data: str, out: Path) -> None:
    """Write a dataset's judgments for trec_eval: trec_eval -c OUT RESULT.run.trec gives our means."""
    from pytest_embedbench.cli.data import find_datasets
    from pytest_embedbench.core.files import write_atomically
    from pytest_embedbench.datasets.load import load_dataset
    from pytest_embedbench.results.trec import dump_qrels

    (named,) = find_datasets([data])
    text = dump_qrels(load_dataset(named))
    if not text:
        raise click.ClickException(f"{data} has no query with a relevant document")
    write_atomically(out, text)
    click.echo(out)
