"""``embedbench list``: list the models or datasets of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pytest_embedbench import catalog

if TYPE_CHECKING:
    from pytest_embedbench.datasets.spec import DatasetSpec
    from pytest_embedbench.models.spec import ModelSpec

MODEL_COLUMNS = {
    "alias": "left",
    "model": "left",
    "kind": "left",
    "dims": "right",
    "tokens": "right",
    "size": "right",
    "licence": "left",
    "$/1M": "right",
}
"""Header -> alignment.

``tokens`` is the longest input, ``size`` the number of parameters, ``$/1M`` the US dollars for a million tokens.
"""


@click.command("list")
@click.argument("kind", type=click.Choice(["models", "datasets"]))
def list_entries(kind: str) -> None:
    """List the models or the datasets of the catalogue.

    `embedbench show NAME` has all facts about one of them.
    """
    from tabulate import tabulate

    if kind == "models":
        rows = [_model_row(alias, spec) for alias, spec in catalog.models().items()]
        alignment = list(MODEL_COLUMNS.values())
        # Left to parse numbers, tabulate would show a price of 2.00 as 2.
        click.echo(tabulate(rows, headers=list(MODEL_COLUMNS), colalign=alignment, disable_numparse=True))
    else:
        rows = [[name, spec.domain, spec.language, _files(spec)] for name, spec in catalog.datasets().items()]
        click.echo(tabulate(rows, headers=["name", "domain", "language", "files"]))


def _files(spec: DatasetSpec) -> str:
    """Return where a dataset's files come from."""
    if spec.path:
        return "here"
    return "ir_datasets" if spec.ir_datasets else "Hub" if spec.hub_dataset else "give its folder"


def _model_row(alias: str, spec: ModelSpec) -> list[str]:
    from pytest_embedbench.reports.cards import format as fmt

    price = spec.price_per_million_tokens
    return [
        alias,
        spec.name or spec.hub,
        "local" if spec.kind == "sentence-transformers" else spec.kind,
        "" if spec.dimensions is None else fmt.count(spec.dimensions),
        "" if spec.max_tokens is None else fmt.count(spec.max_tokens),
        "" if spec.parameters is None else fmt.parameters(spec.parameters),
        spec.licence,
        "" if price is None else f"{price:.2f}",
    ]
