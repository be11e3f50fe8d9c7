"""The regression checks of one suite belong together: Holm's correction needs the p-values of them all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from pytest_embedbench.checks.regression import (
    LOST,
    LostQuery,
    Tested,
    adjust_together,
    check_means,
    check_regression,
    measured_regression,
    skipped_regression,
)
from pytest_embedbench.checks.significance import compare
from pytest_embedbench.checks.verdict import Verdict
from pytest_embedbench.errors import BaselineError
from pytest_embedbench.results.baseline import Baseline, BaselineEntry, changes, entry_of
from pytest_embedbench.suite.checks import Pair, RegressionCheck
from pytest_embedbench.suite.plan import Suite

if TYPE_CHECKING:
    from pytest_embedbench.engine.pair_work import PairWork
    from pytest_embedbench.engine.workbench import Workbench

UNJUDGED = "no query of the dataset has a relevant judged document"

Key = tuple[str, str, str]
"""Model, dataset, metric."""


class Sides(NamedTuple):
    """What the baseline has of a pair, what it would have now, and the evaluation now."""

    then: BaselineEntry
    now: BaselineEntry
    work: PairWork


class Family:
    """The comparisons of a suite that this session makes: its selected pairs and metrics that the baseline has.

    What cannot be compared (no entry, other data, a model that does not load) is no test and does not count.
    """

    def __init__(
        self,
        bench: Workbench,
        suite: Suite,
        members: Iterable[tuple[Pair, RegressionCheck]],
        baseline: Baseline,
        name: str,
    ) -> None:
        self._bench, self._suite, self._members = bench, suite, list(members)
        self._baseline, self._name = baseline, name

    def verdict(self, pair: Pair, check: RegressionCheck) -> Verdict:
        """The verdict on one of the members; skipped where the baseline lacks it.

        Raises:
            BaselineError: the baseline's entry is of other data, so that nothing can be compared.
            ModelError, DatasetError: model or data cannot be used.
        """
        names, metric = (pair.model.alias, pair.dataset.alias), str(check.measure)
        published = self._baseline.find(*names)
        if published and not published.queries and metric in published.means:
            mean = self._bench.evaluation(pair, self._suite.measures).means.get(metric)
            if mean is None:
                return skipped_regression(names, check, UNJUDGED)
            return check_means(names, check, published.means[metric], mean, self._name)
        sides = self._sides(pair, metric)
        if isinstance(sides, str):
            return skipped_regression(names, check, sides)
        then, now, work = sides
        return check_regression(
            names,
            check,
            self._tested[*names, metric],
            self._name,
            changes(then, now),
            lambda: lost_queries(then, now, work, metric),
        )

    @cached_property
    def _tested(self) -> Mapping[Key, Tested]:
        values = {}
        for pair, check in self._members:
            metric = str(check.measure)
            try:
                sides = self._sides(pair, metric)
            except Exception:  # noqa: BLE001, S112 - whatever it is, the pair's own items report it
                continue
            if not isinstance(sides, str):
                before, now = sides.then.values(metric), sides.now.values(metric)
                both = [before[query] for query in now], list(now.values())
                values[pair.model.alias, pair.dataset.alias, metric] = *both, check.confidence
        found = [
            compare(before, now, confidence=confidence, tests=len(values))
            for before, now, confidence in values.values()
        ]
        return dict(zip(values, adjust_together(found), strict=True))

    def _sides(self, pair: Pair, metric: str) -> Sides | str:
        """Both sides of a comparison; where the baseline lacks one, the reason why nothing is compared."""
        then = self._baseline.find(pair.model.alias, pair.dataset.alias)
        if then is None or metric not in then.metrics or not then.queries:
            lacks = f"{metric} of this pair" if then else "such pair"
            return f"{self._name} has no {lacks}; add it with pytest --embed-update-baseline"
        work = self._bench.evaluation(pair, self._suite.measures)
        if not work.scores.get(metric):
            return UNJUDGED
        now = entry_now(pair, work, [metric])
        _refuse_other_data(then, now, self._name)
        return Sides(then, now, work)


def _refuse_other_data(then: BaselineEntry, now: BaselineEntry, name: str) -> None:
    fix = "\n  fix: restore it, or measure anew with pytest --embed-update-baseline"
    before, here = then.fingerprints.dataset, now.fingerprints.dataset
    if before != here:
        raise BaselineError(
            f"{now.model} on {now.dataset}: the data is not that of {name}, so scores cannot be compared: "
            f"its fingerprint is {here[:16]}, was {before[:16]}{fix}"
        )
    if then.queries.keys() != now.queries.keys():
        raise BaselineError(
            f"{now.model} on {now.dataset}: {name} has other queries for the same data, so it was edited or cut{fix}"
        )


def measure(pair: Pair, check: RegressionCheck, work: PairWork) -> tuple[Verdict, BaselineEntry]:
    """Without comparing: the verdict that says what was measured, and the pair's entry with all of its metrics."""
    metrics = [str(other.measure) for other in pair.checks if isinstance(other, RegressionCheck)]
    entry = entry_now(pair, work, metrics)
    names, value = (pair.model.alias, pair.dataset.alias), entry.means.get(str(check.measure))
    if value is None:
        return skipped_regression(names, check, UNJUDGED), entry
    return measured_regression(names, check, value), entry


def entry_now(pair: Pair, work: PairWork, metrics: Iterable[str]) -> BaselineEntry:
    """The entry that a baseline would get of this pair as it is now."""
    names = pair.model.alias, pair.dataset.alias
    return entry_of(work.result, work.scores, work.run, work.dataset.qrels, metrics, names)


def lost_queries(entry: BaselineEntry, now: BaselineEntry, work: PairWork, metric: str) -> list[LostQuery]:
    """The queries that lost most, at most ten, worst first."""
    before, here = entry.values(metric), now.values(metric)
    worst = sorted((query for query in here if here[query] < before[query]), key=lambda q: (here[q] - before[q], q))
    lost = []
    for query in worst[:LOST]:
        then, present = entry.queries[query], now.queries[query]
        relevant = then.relevant or present.relevant
        ranking = (doc for doc, _ in work.run.get(query, []))
        rank = next((place for place, doc in enumerate(ranking, 1) if doc == relevant), 0)
        text = work.dataset.query_text[query]
        lost.append(
            LostQuery(query, text, before[query], here[query], then.first, present.first, relevant, then.rank, rank)
        )
    return lost
