"""What a model's repository on the Hub gets: ``README.md``, a card with ``model-index``, and ``.eval_results``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from msgspec.structs import replace

from pytest_embedbench.core.files import file_name, write_atomically
from pytest_embedbench.errors import ResultError
from pytest_embedbench.reports.cards.build import build_card
from pytest_embedbench.reports.cards.rendering import render
from pytest_embedbench.results.hub_metadata import check_readme, dump_entries, eval_entries, metadata
from pytest_embedbench.results.schema import PairResult
from pytest_embedbench.results.store import NO_REVISION

EVAL_RESULTS = ".eval_results"


def readme(results: Sequence[PairResult], source_url: str = "") -> str:
    """The card of one model with the Hub's front matter in place of the card's own.

    Raises:
        ResultError: nothing was scored, or the Hub would read the metadata differently from how they are meant.
    """
    data = metadata(results, source_url)
    page = render(replace(build_card(results), front_matter=None))
    text = f"---\n{data.to_yaml()}\n---\n\n{page}"
    check_readme(text, data)
    return text


def write_hub(results: Iterable[PairResult], folder: Path, source_url: str = "") -> list[Path]:
    """Write ``<org>__<model>/README.md`` and ``.eval_results/<dataset>.yaml`` for each model; the paths written.

    Raises:
        ResultError: results are of several revisions of a model, or nothing was scored.
    """

    def name(result: PairResult) -> str:
        return result.embedbench.model.name

    texts: dict[Path, str] = {}
    for model, group in groupby(sorted(results, key=name), key=name):
        of_model = list(group)
        revisions = {result.embedbench.model.revision or NO_REVISION for result in of_model}
        if len(revisions) > 1:
            found = ", ".join(sorted(revisions))
            raise ResultError(f"{model}: results of several revisions: {found}\n  fix: give the folder of one of them")
        home = folder / file_name(model)
        texts[home / "README.md"] = readme(of_model, source_url)
        for result in of_model:
            if entries := eval_entries(result, source_url):
                dataset = file_name(result.embedbench.dataset.name)
                texts[home / EVAL_RESULTS / f"{dataset}.yaml"] = dump_entries(entries)
    for path, text in texts.items():
        write_atomically(path, text)
    return list(texts)
