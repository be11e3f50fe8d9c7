"""``embedbench card``: model cards of a results folder."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("card")
@click.argument("results", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("cards"), show_default=True)
@click.option(
    "--template", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Your own Jinja template."
)
def card(results: Path, out: Path, template: Path | None) -> None:
    """Write the model cards of a RESULTS folder."""
    from pytest_embedbench.reports.cards.write import write_cards
    from pytest_embedbench.results.store import Store

    found = list(Store(results).results())
    if not found:
        raise click.ClickException(f"{results} holds no results")
    for path in write_cards(found, out, template):
        click.echo(path)
