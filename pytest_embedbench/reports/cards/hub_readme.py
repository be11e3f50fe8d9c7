"""Write the files of a model's repository on the Hub: a card with ``model-index`` as README, and ``.eval_results``."""

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
"""Folder of a repository from which the Hub fills the leaderboards of datasets."""


def readme(results: Sequence[PairResult], source_url: str = "") -> str:
    """Return the card of one model with the Hub's front matter in place of the card's own.

    Raises:
        ResultError: nothing was scored, or the Hub would read other metadata than those written.
    """
    data = metadata(results, source_url)
    # Rendered without front matter: the Hub's is nested YAML, of which a card's grammar has only plain keys.
    page = render(replace(build_card(results), front_matter=None))
    text = f"---\n{data.to_yaml()}\n---\n\n{page}"
    check_readme(text, data)
    return text


def write_hub(results: Iterable[PairResult], folder: Path, source_url: str = "") -> list[Path]:
    """Write ``<org>__<model>/README.md`` and ``.eval_results/<dataset>.yaml`` for each model; return the paths.

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
            problem = f"results of several revisions: {', '.join(sorted(revisions))}"
            raise ResultError(problem, where=model, fix="give the folder of one of them")
        home = folder / file_name(model)
        _add(texts, home / "README.md", readme(of_model, source_url), model)
        for result in of_model:
            if entries := eval_entries(result, source_url):
                dataset = file_name(result.embedbench.dataset.name)
                _add(texts, home / EVAL_RESULTS / f"{dataset}.yaml", dump_entries(entries), model)
    # Only now, so that an error above leaves no half of the files.
    for path, text in texts.items():
        write_atomically(path, text)
    return list(texts)


def _add(texts: dict[Path, str], path: Path, text: str, model: str) -> None:
    """Add a file, unless another model or dataset has it already.

    Raises:
        ResultError: it has, also where a file system ignores case.
    """
    if str(path).casefold() in {str(other).casefold() for other in texts}:
        problem = f"two models or datasets would have the same file, {path}"
        raise ResultError(problem, where=model, fix="export one of them alone, or into another folder")
    texts[path] = text
