"""``embedbench``: commands that run no model."""

from __future__ import annotations

from pathlib import Path

import click

from pytest_embedbench import __version__, catalog
from pytest_embedbench.errors import EmbedbenchError


class _Command(click.Group):
    """Shows our own errors as one message, without a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (EmbedbenchError, ValueError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Command)
@click.version_option(__version__, prog_name="embedbench")
def main() -> None:
    """Cards and facts from stored results. To run models, use pytest: pytest --embed-model NAME."""


@main.command("card")
@click.argument("results", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path("cards"), show_default=True)
@click.option(
    "--template", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Your own Jinja template."
)
def card(results: Path, out: Path, template: Path | None) -> None:
    """Write the model cards of a RESULTS folder."""
    from pytest_embedbench.cards.write import write_cards
    from pytest_embedbench.results.store import Store

    found = [result for _, result in Store(results).results()]
    if not found:
        raise click.ClickException(f"{results} holds no results")
    for path in write_cards(found, out, template):
        click.echo(path)


@main.command("list")
@click.argument("what", type=click.Choice(["models", "datasets"]))
def list_entries(what: str) -> None:
    """List the catalogue's models or datasets."""
    from tabulate import tabulate

    if what == "models":
        rows = [[alias, spec.name or spec.hub, spec.licence] for alias, spec in catalog.models().items()]
        click.echo(tabulate(rows, headers=["alias", "model", "licence"]))
    else:
        known = catalog.datasets().items()
        rows = [[name, spec.domain, spec.language, "yes" if spec.path else "give its folder"] for name, spec in known]
        click.echo(tabulate(rows, headers=["name", "domain", "language", "files here"]))
