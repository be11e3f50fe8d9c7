"""Build a leaderboard's entries: each model with its ranks, each dataset with the means that it enters."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from pytest_embedbench.rating.judgments import Judgment
from pytest_embedbench.rating.ratings import Rating, Ratings
from pytest_embedbench.reports.leaderboard.facts import (
    DatasetEntry,
    DatasetRow,
    ModelEntry,
    ModelInfo,
    ModelPair,
    Opponent,
)
from pytest_embedbench.reports.leaderboard.numbers import means_over, pareto, shared_by_all, standings
from pytest_embedbench.reports.leaderboard.selection import (
    MEASURE,
    Chosen,
    Measured,
    Profile,
    differing_datasets,
    query_latency,
)
from pytest_embedbench.reports.text import link_url
from pytest_embedbench.results.schema import ModelRecord


class Material(NamedTuple):
    """Everything that a board is built from; each model has one name throughout."""

    chosen: Chosen
    ratings: Ratings | None
    judgments: Sequence[Judgment]
    profile: Profile | None

    def latencies(self) -> dict[str, dict[str, float]]:
        """Return model -> dataset -> p50 of the query side, in milliseconds."""

        def p50(measured: Measured) -> float | None:
            side = query_latency(measured.details, self.profile)
            return side.p50_ms if side else None

        return self._values(p50)

    def quality(self) -> dict[str, dict[str, float]]:
        """Return model -> dataset -> mean nDCG@10; a dataset without relevance judgments has none."""
        return self._values(lambda measured: measured.details.means.get(MEASURE))

    def shared(self, values: dict[str, dict[str, float]]) -> tuple[str, ...]:
        """Return the datasets whose data is the same for all models, and on which every model with values has one."""
        unlike = differing_datasets(self.chosen)
        return tuple(name for name in shared_by_all(values) if name not in unlike)

    def rating(self, model: str, dataset: str | None = None) -> Rating | None:
        """Return the model's rating, overall or on one dataset; None if it was not rated."""
        if self.ratings is None:
            return None
        ratings = self.ratings.overall if dataset is None else self.ratings.by_dataset.get(dataset, [])
        return next((rating for rating in ratings if rating.model == model), None)

    def _values(self, value: Callable[[Measured], float | None]) -> dict[str, dict[str, float]]:
        return {
            name: {
                dataset: number for dataset, measured in by_dataset.items() if (number := value(measured)) is not None
            }
            for name, by_dataset in self.chosen.items()
        }


def model_entries(material: Material) -> list[ModelEntry]:
    """Return every model that a source names, best first: by Elo, then by mean nDCG@10, then by name."""
    quality, latencies = material.quality(), material.latencies()
    means = means_over(quality, material.shared(quality))
    times = means_over(latencies, material.shared(latencies))
    rated = {rating.model: rating for rating in material.ratings.overall} if material.ratings else {}
    # Each column ranks only the models that have its number, so ``of`` may differ from column to column.
    elo = standings({name: rating.elo for name, rating in rated.items()})
    won = standings({name: rating.win_rate for name, rating in rated.items() if rating.judgments})
    ndcg, fast = standings(means), standings(times, low_is_best=True)
    front = pareto({name: (means[name], times[name]) for name in means.keys() & times.keys()})
    judged = {name for judgment in material.judgments for name in (judgment.model_a, judgment.model_b)}
    names = {*material.chosen, *rated, *judged}

    def best_first(name: str) -> tuple[float, float, str]:
        return -elo[name].value if name in elo else math.inf, -means.get(name, -math.inf), name.casefold()

    return [
        ModelEntry(
            name=name,
            page="",
            info=_info(material.chosen.get(name, {})),
            rating=rated.get(name),
            elo=elo.get(name),
            win_rate=won.get(name),
            ndcg=ndcg.get(name),
            latency=fast.get(name),
            on_front=name in front,
        )
        for name in sorted(sorted(names), key=best_first)  # sorted twice: names that differ only in case
    ]


def _info(by_dataset: dict[str, Measured]) -> ModelInfo:
    if not by_dataset:
        return ModelInfo()
    # Facts may differ between results; those of the newest count.
    record = max(by_dataset.values(), key=lambda measured: measured.details.measured_on).details.model
    spec, facts = record.spec, record.facts
    return ModelInfo(
        full_name=record.name,
        provider=spec.provider,
        licence=spec.licence,
        price_per_million_tokens=spec.price_per_million_tokens,
        release_date=spec.release_date,
        description=spec.description or spec.summary,
        source=_address(record),
        languages=spec.languages,
        architecture=spec.architecture or facts.architecture,
        parameters=facts.parameters or spec.parameters,
        dimensions=facts.dimensions or spec.dimensions,
        max_tokens=facts.max_tokens or spec.max_tokens,
    )


def _address(record: ModelRecord) -> str:
    try:
        return link_url(record.spec.source)
    except ValueError:  # not http or https: a page must not carry javascript: links
        return ""


def dataset_entries(material: Material) -> tuple[DatasetEntry, ...]:
    """Return every dataset that a source names, by name."""
    judged = Counter(judgment.dataset for judgment in material.judgments)
    rated = material.ratings.by_dataset if material.ratings else {}
    records = {
        name: measured.details.dataset
        for by_dataset in material.chosen.values()
        for name, measured in by_dataset.items()
    }
    shared, timed = (material.shared(values) for values in (material.quality(), material.latencies()))
    return tuple(
        DatasetEntry(
            name=name,
            documents=records[name].documents if name in records else None,
            queries=(records[name].queries or records[name].queries_in_file) if name in records else None,
            judgments=judged[name],
            shared=name in shared,
            timed=name in timed,
        )
        for name in sorted({*judged, *rated, *records}, key=lambda name: (name.casefold(), name))
    )


def dataset_rows(model: str, datasets: Sequence[DatasetEntry], material: Material) -> Iterator[DatasetRow]:
    """Yield the model's numbers on each dataset; a dataset without any is left out."""
    for dataset in datasets:
        measured = material.chosen.get(model, {}).get(dataset.name)
        rating = material.rating(model, dataset.name)
        if measured or rating:
            yield DatasetRow(
                dataset=dataset.name,
                rating=rating,
                means=measured.details.means if measured else {},
                latency=query_latency(measured.details, material.profile) if measured else None,
            )


def opponents(model: str, pairs: Sequence[ModelPair]) -> Iterator[Opponent]:
    """Yield the model's record against each other model, in the board's order."""
    for pair in pairs:
        if pair.a == model:
            yield Opponent(model=pair.b, page=pair.page, record=pair.record)
        elif pair.b == model:
            yield Opponent(model=pair.a, page=pair.page, record=pair.record.reversed)
