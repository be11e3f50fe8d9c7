"""``embedbench list``: what the catalogue knows."""

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
"""Header and side. Tokens: the longest text; size: parameters; last the price of a million tokens in US dollars."""


@click.command("list")
@click.argument("what", type=click.Choice(["models", "datasets"]))
def list_entries(what: str) -> None:
    """List the catalogue's models or datasets; `embedbench show NAME` tells all of one."""
    from tabulate import tabulate

    if what == "models":
        rows = [_model_row(alias, spec) for alias, spec in catalog.models().items()]
        sides = list(MODEL_COLUMNS.values())
        click.echo(tabulate(rows, headers=list(MODEL_COLUMNS), colalign=sides, disable_numparse=True))
    else:
        known = catalog.datasets().items()
        facts = [[name, spec.domain, spec.language, _files(spec)] for name, spec in known]
        click.echo(tabulate(facts, headers=["name", "domain", "language", "files"]))


def _files(spec: DatasetSpec) -> str:
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
