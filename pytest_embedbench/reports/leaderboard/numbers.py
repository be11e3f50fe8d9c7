"""Compute ranks, means over the same datasets for all models, and the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pytest_embedbench.reports.leaderboard.facts import Standing


def standings(values: Mapping[str, float], *, low_is_best: bool = False) -> dict[str, Standing]:
    """Return the rank of each model among those that have a finite value; equal values share the better rank."""
    # A value such as NaN would make every comparison false and rank its model first.
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    sign = 1 if low_is_best else -1
    return {
        name: Standing(value=value, rank=1 + sum(sign * v < sign * value for v in finite.values()), of=len(finite))
        for name, value in finite.items()
    }


def shared_by_all(values: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """Return the datasets on which every model that has any value has one; ``values`` is model -> dataset -> value."""
    sets = [set(by_dataset) for by_dataset in values.values() if by_dataset]
    return tuple(sorted(set.intersection(*sets), key=str.casefold)) if sets else ()


def means_over(values: Mapping[str, Mapping[str, float]], datasets: tuple[str, ...]) -> dict[str, float]:
    """Return the plain mean over ``datasets`` of each model that has all of them; none if there are no datasets."""
    return {
        name: math.fsum(by_dataset[dataset] for dataset in datasets) / len(datasets)
        for name, by_dataset in values.items()
        if datasets and all(dataset in by_dataset for dataset in datasets)
    }


def pareto(points: Mapping[str, tuple[float, float]]) -> frozenset[str]:
    """Return the names on the Pareto front of (quality, latency).

    A point is on the front if no other is at least as good and at least as fast, and better in one of the two.
    """

    def beaten(quality: float, latency: float) -> bool:
        return any(q >= quality and t <= latency and (q > quality or t < latency) for q, t in points.values())

    return frozenset(name for name, point in points.items() if not beaten(*point))
