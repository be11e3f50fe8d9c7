"""``embedbench card``: write the model cards of a results folder."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_embedbench.errors import ResultError


@click.command("card")
@click.argument("results", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("cards"),
    show_default=True,
    help="Folder for the cards.",
)
@click.option(
    "--template",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your own Jinja template for the cards.",
)
def card(results: Path, out: Path, template: Path | None) -> None:
    """Write a model card for each model of a RESULTS folder."""
    from pytest_embedbench.reports.cards.write import write_cards
    from pytest_embedbench.results.store import Store

    stored = list(Store(results).results())
    if not stored:
        raise ResultError(f"{results} holds no results")
    failed = 0
    for model, path, error in write_cards(stored, out, template):
        failed += path is None
        click.echo(path or f"Error: the card of {model} was not written: {error}", err=path is None)
    if failed:
        raise SystemExit(1)
