"""``embedbench list``: what the catalogue knows."""

from __future__ import annotations

import click

from pytest_embedbench import catalog


@click.command("list")
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
