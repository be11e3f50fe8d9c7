"""From results, ratings and judgments to a leaderboard: facts only; the templates decide how they look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.rating.judgments import Judgment
from pytest_embedbench.rating.ratings import Rating, Ratings
from pytest_embedbench.reports.leaderboard.compare import Lookup, Texts, compare_all, turn
from pytest_embedbench.reports.leaderboard.entries import (
    Material,
    dataset_entries,
    dataset_rows,
    model_entries,
    opponents,
)
from pytest_embedbench.reports.leaderboard.facts import Leaderboard
from pytest_embedbench.reports.leaderboard.names import model_pages
from pytest_embedbench.reports.leaderboard.sources import (
    Chosen,
    Rankings,
    choose,
    choose_profile,
    differing,
    list_sources,
)
from pytest_embedbench.results.schema import PairResult

QUERIES_SHOWN = 200


def build_leaderboard(
    results: Sequence[tuple[Path, PairResult]],
    ratings: Ratings | None,
    judgments: Sequence[Judgment],
    *,
    texts: Mapping[str, Dataset] | None = None,
    profile: str = "",
    queries_shown: int = QUERIES_SHOWN,
) -> Leaderboard:
    """The facts of a leaderboard; each source may be missing, and what only it gives is then absent.

    A model goes by the alias of its results, as in judgments; these may also use its full name. Means are over the
    datasets that all models with such a value share, so that none is rewarded for what it was not asked.

    Args:
        results: result files with their paths; runs and per-query scores are read from beside them where needed.
        ratings: what ``rate`` made of the judgments, or None.
        judgments: the judgments themselves, for the pages that compare two models.
        texts: datasets by name, for the words of queries and documents.
        profile: load that latencies are taken from, ``b1 c16`` or ``L4 b1 c16``; empty: what most models have.
        queries_shown: queries of a dataset that a page comparing two models lists at most: those that differ most.

    Raises:
        ConfigurationError: results have load profiles, but not this one.
        ResultError: a file beside a result is not what it should be.
    """
    chosen, notes = choose(results)
    full_names = _full_names(chosen)
    load, left_out = choose_profile(chosen, profile)
    material = Material(
        chosen=chosen,
        ratings=_renamed(ratings, full_names) if ratings else None,
        judgments=[
            replace(
                one, model_a=full_names.get(one.model_a, one.model_a), model_b=full_names.get(one.model_b, one.model_b)
            )
            for one in judgments
        ],
        profile=load,
    )
    entries = model_entries(material)
    order = [entry.name for entry in entries]
    pages = model_pages(order)
    datasets = dataset_entries(material)
    look = Lookup(
        chosen=chosen,
        rankings=Rankings(chosen),
        texts=Texts(texts or {}),
        judged=turn(material.judgments, order),
        limit=queries_shown,
    )
    pairs = compare_all(order, pages, [dataset.name for dataset in datasets], look)
    return Leaderboard(
        models=tuple(
            replace(
                entry,
                page=pages[entry.name],
                datasets=tuple(dataset_rows(entry.name, datasets, material)),
                opponents=tuple(opponents(entry.name, pairs)),
            )
            for entry in entries
        ),
        datasets=datasets,
        pairs=tuple(pairs),
        measured=sum(bool(values) for values in material.quality().values()),
        shared=tuple(dataset.name for dataset in datasets if dataset.shared),
        profile=load.label if load else "",
        timed=tuple(dataset.name for dataset in datasets if dataset.timed),
        ratings=material.ratings,
        sources=list_sources(chosen),
        notes=(*notes, *differing(chosen).values(), *left_out, *_other_runs(material)),
    )


def _full_names(chosen: Chosen) -> dict[str, str]:
    """``org/model`` -> alias, of the full names that mean one model only and are no alias themselves."""
    pairs = {
        (measured.details.model.name, name) for name, by_dataset in chosen.items() for measured in by_dataset.values()
    }
    counts = Counter(full for full, _ in pairs)
    return {full: name for full, name in pairs if counts[full] == 1 and full not in chosen}


def _renamed(ratings: Ratings, full_names: Mapping[str, str]) -> Ratings:
    def renamed(of: list[Rating]) -> list[Rating]:
        return [replace(rating, model=full_names.get(rating.model, rating.model)) for rating in of]

    return replace(
        ratings,
        overall=renamed(ratings.overall),
        by_dataset={dataset: renamed(of) for dataset, of in ratings.by_dataset.items()},
    )


def _other_runs(material: Material) -> Iterator[str]:
    """Notes on judgments of rankings that are not those of the results beside them."""
    others: Counter[tuple[str, str]] = Counter()
    for one in material.judgments:
        for model, run in ((one.model_a, one.run_a), (one.model_b, one.run_b)):
            measured = material.chosen.get(model, {}).get(one.dataset)
            if run and measured and run != measured.details.evidence.run_sha256:
                others[model, one.dataset] += 1
    for (model, dataset), count in sorted(others.items()):
        yield f"{model} on {dataset}: {count} judgments are of another run than the result's"
