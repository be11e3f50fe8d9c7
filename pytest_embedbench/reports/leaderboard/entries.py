"""The lines of a leaderboard: each model with its places, each dataset with what it counts for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from pytest_embedbench.rating.judgments import Judgment
from pytest_embedbench.rating.ratings import Rating, Ratings
from pytest_embedbench.reports.leaderboard.facts import DatasetEntry, DatasetRow, ModelEntry, ModelInfo, Opponent, Pair
from pytest_embedbench.reports.leaderboard.numbers import means_over, pareto, shared_by_all, standings
from pytest_embedbench.reports.leaderboard.sources import MEASURE, Chosen, Measured, Profile, differing, latency
from pytest_embedbench.reports.text import link_url
from pytest_embedbench.results.schema import ModelRecord


class Material(NamedTuple):
    """All that a board is made of, with models under one name each."""

    chosen: Chosen
    ratings: Ratings | None
    judgments: Sequence[Judgment]
    profile: Profile | None

    def latencies(self) -> dict[str, dict[str, float]]:
        """Model -> dataset -> p50 of the query side, milliseconds."""
        return self._values(lambda measured: side.p50_ms if (side := latency(measured.details, self.profile)) else None)

    def quality(self) -> dict[str, dict[str, float]]:
        """Model -> dataset -> mean nDCG@10; a dataset without judgments has none."""
        return self._values(lambda measured: measured.details.means.get(MEASURE))

    def shared(self, values: dict[str, dict[str, float]]) -> tuple[str, ...]:
        """Datasets that all models with such a value have, of the same data."""
        unlike = differing(self.chosen)
        return tuple(name for name in shared_by_all(values) if name not in unlike)

    def rating(self, model: str, dataset: str | None = None) -> Rating | None:
        """The model's rating, overall or on one dataset."""
        if self.ratings is None:
            return None
        of = self.ratings.overall if dataset is None else self.ratings.by_dataset.get(dataset, [])
        return next((rating for rating in of if rating.model == model), None)

    def _values(self, value: Callable[[Measured], float | None]) -> dict[str, dict[str, float]]:
        return {
            name: {dataset: found for dataset, one in by_dataset.items() if (found := value(one)) is not None}
            for name, by_dataset in self.chosen.items()
        }


def model_entries(material: Material) -> list[ModelEntry]:
    """Every model that a source names, best first: by Elo, then by mean nDCG@10, then by name."""
    quality, latencies = material.quality(), material.latencies()
    means = means_over(quality, material.shared(quality))
    times = means_over(latencies, material.shared(latencies))
    rated = {rating.model: rating for rating in material.ratings.overall} if material.ratings else {}
    elo = standings({name: rating.elo for name, rating in rated.items()})
    won = standings({name: one.win_rate for name, one in rated.items() if one.wins + one.losses + one.ties})
    ndcg, fast = standings(means), standings(times, low_is_best=True)
    front = pareto({name: (means[name], times[name]) for name in means.keys() & times.keys()})
    names = {*material.chosen, *rated, *(name for one in material.judgments for name in (one.model_a, one.model_b))}

    def place(name: str) -> tuple[float, float, str]:
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
        for name in sorted(sorted(names), key=place)
    ]


def _info(by_dataset: dict[str, Measured]) -> ModelInfo:
    if not by_dataset:
        return ModelInfo()
    record = max(by_dataset.values(), key=lambda one: one.details.measured_on).details.model
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
    except ValueError:  # not http(s): a page must not carry javascript: links
        return ""


def dataset_entries(material: Material) -> tuple[DatasetEntry, ...]:
    """Every dataset that a source names, by name."""
    judged = Counter(one.dataset for one in material.judgments)
    rated = material.ratings.by_dataset if material.ratings else {}
    records = {name: one.details.dataset for by_dataset in material.chosen.values() for name, one in by_dataset.items()}
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
    """What is known of the model on each dataset; a dataset without anything is left out."""
    for dataset in datasets:
        measured = material.chosen.get(model, {}).get(dataset.name)
        rating = material.rating(model, dataset.name)
        if measured or rating:
            yield DatasetRow(
                dataset=dataset.name,
                rating=rating,
                means=measured.details.means if measured else {},
                latency=latency(measured.details, material.profile) if measured else None,
            )


def opponents(model: str, pairs: Sequence[Pair]) -> Iterator[Opponent]:
    """The model's record against each other one, in the board's order."""
    for pair in pairs:
        if pair.a == model:
            yield Opponent(model=pair.b, page=pair.page, record=pair.record)
        elif pair.b == model:
            yield Opponent(model=pair.a, page=pair.page, record=pair.record.reversed)
