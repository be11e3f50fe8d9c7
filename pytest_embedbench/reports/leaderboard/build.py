"""Build a leaderboard from results, ratings and judgments: facts only; the templates decide how they look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.rating.judgments import Judgment
from pytest_embedbench.rating.ratings import Rating, Ratings
from pytest_embedbench.reports.leaderboard.compare import Lookup, Texts, compare_all, group_judgments
from pytest_embedbench.reports.leaderboard.entries import (
    Material,
    dataset_entries,
    dataset_rows,
    model_entries,
    opponents,
)
from pytest_embedbench.reports.leaderboard.evidence import Rankings, list_sources
from pytest_embedbench.reports.leaderboard.facts import Leaderboard
from pytest_embedbench.reports.leaderboard.names import model_pages
from pytest_embedbench.reports.leaderboard.selection import (
    Chosen,
    choose_profile,
    choose_results,
    differing_datasets,
)
from pytest_embedbench.results.schema import PairResult

DEFAULT_QUERIES_SHOWN = 200
"""Maximum queries of one dataset on a page that compares two models."""


def build_leaderboard(
    results: Sequence[tuple[Path, PairResult]],
    ratings: Ratings | None,
    judgments: Sequence[Judgment],
    *,
    notes: Sequence[str] = (),
    texts: Mapping[str, Dataset] | None = None,
    profile: str = "",
    queries_shown: int = DEFAULT_QUERIES_SHOWN,
) -> Leaderboard:
    """Return the facts of a leaderboard; any source may be missing, and its facts are then absent.

    A model is named by the alias in its results. Judgments use the alias too, or the full name. Means are over the
    datasets that all models with such a value share, so that no model gains by skipping a hard dataset.

    Args:
        results: result files with their paths; runs and per-query scores are read from beside them when needed.
        ratings: the ratings that ``rate`` computed from the judgments, or None.
        judgments: the judgments themselves, for the pages that compare two models.
        notes: notes on the results, for the board's own.
        texts: datasets by name, for the words of queries and documents.
        profile: load to take latencies from, ``b1 c16`` or ``L4 b1 c16``; empty for the one that most models have.
        queries_shown: maximum queries of a dataset on a page that compares two models; those that differ most are kept.

    Raises:
        ConfigurationError: the results have load profiles, but not this one.
        ResultError: a file beside a result is malformed.
    """
    chosen, passed_over = choose_results(results)
    full_names = _full_names(chosen)  # judgments and ratings may use them; from here on there are only aliases
    load, left_out = choose_profile(chosen, profile)
    material = Material(
        chosen=chosen,
        ratings=_rename_rated(ratings, full_names) if ratings else None,
        judgments=_rename_judged(judgments, full_names),
        profile=load,
    )
    entries = model_entries(material)
    order = [entry.name for entry in entries]
    pages = model_pages(order)
    datasets = dataset_entries(material)
    lookup = Lookup(
        chosen=chosen,
        rankings=Rankings(chosen),
        texts=Texts(texts or {}),
        judged=group_judgments(material.judgments, order),
        limit=queries_shown,
    )
    pairs = compare_all(order, pages, [dataset.name for dataset in datasets], lookup)
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
        notes=(*notes, *passed_over, *differing_datasets(chosen).values(), *left_out, *_other_runs(material)),
    )


def _full_names(chosen: Chosen) -> dict[str, str]:
    """Return ``org/model`` -> alias, for full names that mean exactly one model and are not aliases themselves."""
    pairs = {
        (measured.details.model.name, name) for name, by_dataset in chosen.items() for measured in by_dataset.values()
    }
    counts = Counter(full for full, _ in pairs)
    # Variants of a checkpoint, or two aliases, may share a full name; a judgment under it could mean any of them.
    return {full: name for full, name in pairs if counts[full] == 1 and full not in chosen}


def _rename_judged(judgments: Sequence[Judgment], full_names: Mapping[str, str]) -> list[Judgment]:
    """Return the judgments with full names of models replaced by aliases."""
    return [
        replace(
            judgment,
            model_a=full_names.get(judgment.model_a, judgment.model_a),
            model_b=full_names.get(judgment.model_b, judgment.model_b),
        )
        for judgment in judgments
    ]


def _rename_rated(ratings: Ratings, full_names: Mapping[str, str]) -> Ratings:
    """Return the ratings with full names of models replaced by aliases."""

    def renamed(rated: list[Rating]) -> list[Rating]:
        return [replace(rating, model=full_names.get(rating.model, rating.model)) for rating in rated]

    return replace(
        ratings,
        overall=renamed(ratings.overall),
        by_dataset={dataset: renamed(rated) for dataset, rated in ratings.by_dataset.items()},
    )


def _other_runs(material: Material) -> Iterator[str]:
    """Return notes on judgments that compared other rankings than those of the results."""
    # Judgments from elsewhere state no run, so nothing can be said about them.
    others: Counter[tuple[str, str]] = Counter()
    for judgment in material.judgments:
        for model, run in ((judgment.model_a, judgment.run_a), (judgment.model_b, judgment.run_b)):
            measured = material.chosen.get(model, {}).get(judgment.dataset)
            if run and measured and run != measured.details.evidence.run_sha256:
                others[model, judgment.dataset] += 1
    for (model, dataset), count in sorted(others.items()):
        yield f"{model} on {dataset}: {count} judgments are of another run than the result's"
