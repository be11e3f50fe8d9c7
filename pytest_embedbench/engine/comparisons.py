"""Regression checks of one suite, compared with its baseline together: Holm's correction needs all their p-values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from pytest_embedbench.checks.comparison import (
    Comparison,
    LostQuery,
    MeansCompared,
    NewBaseline,
    NotCompared,
    QueriesCompared,
)
from pytest_embedbench.checks.regression import RegressionCheck
from pytest_embedbench.checks.significance import Tested, adjust_together, compare
from pytest_embedbench.errors import BaselineError
from pytest_embedbench.results.baseline import Baseline, BaselineEntry, changes, entry_of

if TYPE_CHECKING:
    from pytest_embedbench.core.measures import Measure
    from pytest_embedbench.engine.pair_work import PairWork
    from pytest_embedbench.engine.workbench import Workbench
    from pytest_embedbench.suite.pairs import Pair
    from pytest_embedbench.suite.plan import Suite

NOT_JUDGED = "no query of the dataset has a relevant judged document"

MAX_LOST_QUERIES = 10
"""Queries shown with a regression, at most."""


class _Key(NamedTuple):
    """Key of a comparison within a suite."""

    model: str
    dataset: str
    metric: str


class _Sides(NamedTuple):
    """A pair's entry in the baseline, the entry it would get now, and its evaluation now."""

    before: BaselineEntry
    now: BaselineEntry
    work: PairWork


class Family:
    """The comparisons of a suite that this session makes: its selected pairs and metrics that the baseline has.

    A comparison that cannot be made (no entry, other data, a model that does not load) does not count as a test.

    Args:
        bench: evaluates the pairs.
        suite: whose measures are computed.
        members: all selected regression checks of the suite, with their pairs.
        baseline: the baseline.
        name: the baseline's name, for messages.
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

    def compare(self, pair: Pair, measure: Measure) -> Comparison:
        """Compare a measure of a member with the baseline; not compared if the baseline lacks it.

        Raises:
            BaselineError: the baseline's entry is of other data, so that nothing can be compared.
            ModelError, DatasetError: model or data cannot be used.
        """
        key = _Key(pair.model.alias, pair.dataset.alias, str(measure))
        published = self._baseline.find(key.model, key.dataset)
        # Published results have a mean for each metric, and nothing for single queries.
        if published and not published.queries and key.metric in published.means:
            mean = self._bench.evaluation(pair, self._suite.measures).means.get(key.metric)
            if mean is None:
                return NotCompared(NOT_JUDGED)
            return MeansCompared(published.means[key.metric], mean, self._name)
        sides = self._sides(pair, key.metric)
        if isinstance(sides, NotCompared):
            return sides
        before, now, work = sides
        return QueriesCompared(
            self._tested[key],
            self._name,
            changes(before, now),
            lambda: lost_queries(before, now, work, key.metric),
        )

    @cached_property
    def _tested(self) -> Mapping[_Key, Tested]:
        """All comparisons that can be made, tested together."""
        values = {}
        for pair, check in self._members:
            metric = str(check.measure)
            try:
                sides = self._sides(pair, metric)
            except Exception:  # noqa: BLE001, S112 - whatever it is, the pair's own items report it
                continue
            if not isinstance(sides, NotCompared):
                before, now = sides.before.values(metric), sides.now.values(metric)
                # Both sides in the same order, since the test pairs them.
                both = [before[query] for query in now], list(now.values())
                values[_Key(pair.model.alias, pair.dataset.alias, metric)] = *both, check.confidence
        comparisons = [
            compare(before, now, confidence=confidence, tests=len(values))
            for before, now, confidence in values.values()
        ]
        return dict(zip(values, adjust_together(comparisons), strict=True))

    def _sides(self, pair: Pair, metric: str) -> _Sides | NotCompared:
        before = self._baseline.find(pair.model.alias, pair.dataset.alias)
        if before is None or metric not in before.metrics or not before.queries:
            missing = f"{metric} of this pair" if before else "such pair"
            return NotCompared(f"{self._name} has no {missing}; add it with pytest --embed-update-baseline")
        work = self._bench.evaluation(pair, self._suite.measures)
        if not work.scores.get(metric):
            return NotCompared(NOT_JUDGED)
        now = entry_now(pair, work, [metric])
        _refuse_other_data(before, now, self._name)
        return _Sides(before, now, work)


def _refuse_other_data(before: BaselineEntry, now: BaselineEntry, name: str) -> None:
    where = f"{now.model} on {now.dataset}"
    fix = "restore it, or measure anew with pytest --embed-update-baseline"
    old, new = before.fingerprints.dataset[:16], now.fingerprints.dataset[:16]
    if before.fingerprints.dataset != now.fingerprints.dataset:
        problem = f"the data is not that of {name}, so scores cannot be compared: its fingerprint is {new}, was {old}"
        raise BaselineError(problem, where=where, fix=fix)
    # The data is the same, so only a file that was edited can have other queries.
    if before.queries.keys() != now.queries.keys():
        problem = f"{name} has other queries for the same data, so it was edited or cut"
        raise BaselineError(problem, where=where, fix=fix)


def measure_baseline(pair: Pair, measure: Measure, work: PairWork) -> tuple[Comparison, BaselineEntry]:
    """Compare nothing: return the mean as the new baseline's, and the pair's entry with all of its metrics."""
    metrics = [str(check.measure) for check in pair.checks if isinstance(check, RegressionCheck)]
    entry = entry_now(pair, work, metrics)
    mean = entry.means.get(str(measure))
    return NotCompared(NOT_JUDGED) if mean is None else NewBaseline(mean), entry


def entry_now(pair: Pair, work: PairWork, metrics: Iterable[str]) -> BaselineEntry:
    """Return the entry that a baseline would get of this pair as it is now."""
    names = pair.model.alias, pair.dataset.alias
    return entry_of(work.result, work.scores, work.run, work.dataset.qrels, metrics, names)


def lost_queries(entry: BaselineEntry, now: BaselineEntry, work: PairWork, metric: str) -> list[LostQuery]:
    """Return the queries that lost most, worst first, ``MAX_LOST_QUERIES`` at most."""
    before, here = entry.values(metric), now.values(metric)
    # Ties are ordered by id, so that two runs show the same queries.
    worst = sorted((query for query in here if here[query] < before[query]), key=lambda q: (here[q] - before[q], q))
    lost = []
    for query in worst[:MAX_LOST_QUERIES]:
        old, new = entry.queries[query], now.queries[query]
        relevant = old.relevant or new.relevant
        ranking = (doc for doc, _ in work.run.get(query, []))
        rank = next((rank for rank, doc in enumerate(ranking, 1) if doc == relevant), 0)
        text = work.dataset.query_text[query]
        lost.append(LostQuery(query, text, before[query], here[query], old.first, new.first, relevant, old.rank, rank))
    shown = work.dataset.shown([doc for query in lost for doc in (query.first_before, query.first_now, query.relevant)])
    return [
        query._replace(
            first_before=shown[query.first_before], first_now=shown[query.first_now], relevant=shown[query.relevant]
        )
        for query in lost
    ]
