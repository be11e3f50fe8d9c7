"""Write one card for each model, with plots of its load profiles and rate searches beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from pytest_embedbench.core.files import file_key, file_name, write_atomically
from pytest_embedbench.errors import EmbedbenchError
from pytest_embedbench.reports.cards.build import build_card
from pytest_embedbench.reports.cards.facts import Plot
from pytest_embedbench.reports.cards.plots import profile_pictures, rate_pictures
from pytest_embedbench.reports.cards.rendering import render
from pytest_embedbench.reports.cards.samples import rate_searches, sampled_profiles
from pytest_embedbench.reports.drawing import install_plots
from pytest_embedbench.reports.errors import CardError
from pytest_embedbench.reports.text import link_text
from pytest_embedbench.results.schema import PairResult
from pytest_embedbench.results.store import NO_REVISION, Store


class CardWriting(NamedTuple):
    """The card of one model: the path that it was written to, or the reason why it was not."""

    model: str
    path: Path | None
    error: str = ""


def write_cards(
    results: Iterable[tuple[Path, PairResult]], folder: Path, template: Path | None = None
) -> list[CardWriting]:
    """Write ``<org>__<model>.md`` for each model; a card that cannot be written does not keep others from it.

    Revisions of a model are different models: if there are several, each has a card of its own, whose name has the
    revision too. So has the card of a folder's model if results of another folder's model of this name lie beside it.

    If matplotlib is installed, plots of each result's load profiles and rate searches are drawn from the samples on
    disk and written beside the card.

    Args:
        results: each with the path of its file.
        folder: where the cards go.
        template: the user's own, in place of the packaged one.
    """
    written = []
    ordered = sorted(results, key=_model_and_revision)
    groups = {key: list(group) for key, group in groupby(ordered, key=_model_and_revision)}
    revisions = Counter(name for name, _ in groups)
    taken: dict[str, str] = {}
    for (name, revision), group in groups.items():
        file = name
        try:
            if revisions[name] > 1 or _has_namesake(*group[0]):
                file = f"{name}@{revision or NO_REVISION}"
            if (other := taken.setdefault(file_key(file), file)) != file:
                problem = f"the card of {other} has the same file name"
                raise CardError(problem, fix="give one of the models another name")
            written.append(CardWriting(name, _write_card(group, folder / f"{file_name(file)}.md", template)))
        # A template that does not work, damaged samples, an address that is none, a folder that cannot be written.
        except (EmbedbenchError, ValueError, OSError) as error:
            written.append(CardWriting(name, None, str(error)))
    return written


def _model_and_revision(stored: tuple[Path, PairResult]) -> tuple[str, str]:
    model = stored[1].embedbench.model
    return model.name, model.revision


def _has_namesake(path: Path, result: PairResult) -> bool:
    """Whether results of a model with the same name, from another folder, lie beside this result.

    Their folders are called the same, as those of checkpoints often are: ``run-1/final`` and ``run-2/final``.

    Raises:
        ResultError: one of those results cannot be read.
    """
    model = result.embedbench.model
    # Elsewhere the folders around a file say nothing about it.
    if not model.spec.path or path.parent.name != file_name(model.revision or NO_REVISION):
        return False
    revisions = path.parent.parent
    others = (record.embedbench.model for _, record in Store(revisions).results())
    return any(other.name == model.name and other.spec.path not in {"", model.spec.path} for other in others)


def _write_card(results: Sequence[tuple[Path, PairResult]], path: Path, template: Path | None) -> Path:
    plots: list[list[Plot]] = [] if install_plots() else list(_plots(results, path))
    write_atomically(path, render(build_card([result for _, result in results], plots), template))
    return path


def _plots(results: Iterable[tuple[Path, PairResult]], card: Path) -> Iterator[list[Plot]]:
    """Write each result's plots; yield the blocks that show them on the card."""
    seen: Counter[str] = Counter()
    for path, result in results:
        dataset = file_name(result.embedbench.dataset.name)
        key = file_key(result.embedbench.dataset.name)
        seen[key] += 1  # more than once for names that become one file name
        stem = f"{card.stem}.{dataset}" + (f".{seen[key]}" if seen[key] > 1 else "")
        yield list(_write_plots(path, result, card.parent, stem))


def _write_plots(path: Path, result: PairResult, folder: Path, stem: str) -> Iterator[Plot]:
    about = f"{result.embedbench.model.alias} on {result.embedbench.dataset.name}"
    profiles = list(sampled_profiles(path, result))
    for picture in chain(profile_pictures(profiles, about), rate_pictures(rate_searches(path, result), about)):
        file = f"{stem}.{picture.slug}.svg"
        write_atomically(folder / file, picture.svg)
        yield Plot(text=link_text(picture.title), url=quote(file, safe="@=+"))
