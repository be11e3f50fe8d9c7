"""Cards as files: one a model, made of the results given."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from pytest_embedbench.cards.build import build_card
from pytest_embedbench.cards.rendering import render
from pytest_embedbench.results.schema import PairResult
from pytest_embedbench.results.store import file_name, write_atomically


def write_cards(results: Iterable[PairResult], folder: Path, template: Path | None = None) -> list[Path]:
    """Write ``<org>__<model>.md`` for each model; the paths written.

    Raises:
        CardError: the user's template does not work; names the template and the line.
    """
    written = []
    ordered = sorted(results, key=lambda result: result.embedbench.model.name)
    for name, group in groupby(ordered, key=lambda result: result.embedbench.model.name):
        path = folder / f"{file_name(name)}.md"
        write_atomically(path, render(build_card(list(group)), template))
        written.append(path)
    return written
