"""Measurements of a pair for its checks, made by the workbench."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_embedbench.checks.evidence import LoadEvidence, MaxRateSearch, QueryOutcome
from pytest_embedbench.checks.verdict import PairNames

if TYPE_CHECKING:
    from pytest_embedbench.checks.comparison import Comparison
    from pytest_embedbench.core.measures import Measure
    from pytest_embedbench.engine.pair_work import PairWork
    from pytest_embedbench.engine.workbench import Workbench
    from pytest_embedbench.load.rates import RateResult
    from pytest_embedbench.load.ratio import SlowdownResult
    from pytest_embedbench.load.shape import LoadShape, Shape
    from pytest_embedbench.models.spec import NamedModel
    from pytest_embedbench.suite.pairs import Pair


class PairEvidence:
    """The ``CheckEvidence`` of a pair; making it evaluates the pair, if its ranking is wanted.

    Args:
        bench: does the pair's work.
        pair: the pair that is judged.
        measures: all measures of the suite, so that they are computed together.
        compare: looks a measure of the pair up in the suite's baseline; called at most once.
        ranked: whether the check needs the pair's ranking; without it, no corpus is encoded for a check on load.

    Raises:
        ModelError, DatasetError: model or data cannot be used.
        ProvenFailure: the evaluation ended early, since a limit is proven missed.
    """

    def __init__(
        self,
        bench: Workbench,
        pair: Pair,
        measures: Sequence[Measure],
        compare: Callable[[PairWork, Measure], Comparison],
        *,
        ranked: bool = True,
    ) -> None:
        self._bench, self._pair, self._measures, self._compare = bench, pair, measures, compare
        if ranked:
            bench.evaluation(pair, measures)

    @property
    def work(self) -> PairWork:
        """The pair's evaluation; the pair without its ranking where that was not wanted."""
        return self._bench.unranked(self._pair, self._measures)

    @property
    def names(self) -> PairNames:
        return PairNames(self._pair.model.alias, self._pair.dataset.alias)

    @property
    def has_vectors(self) -> bool:
        return self._pair.model.spec.has_vectors

    @property
    def means(self) -> Mapping[str, float]:
        return self.work.means

    def worst_queries(self, measure: Measure) -> Sequence[QueryOutcome]:
        return self.work.worst_queries(measure)

    def profile(self, shape: Shape) -> LoadEvidence:
        details = self._bench.profile(self._pair, shape, self._measures).embedbench
        return LoadEvidence(details.profiles[str(shape)], details.load_seconds, details.peak_memory_bytes)

    def max_rate(self, search: MaxRateSearch) -> RateResult:
        return self._bench.max_rate(self._pair, search, self._measures)

    def slowdown(self, shape: LoadShape, against: NamedModel, confidence: float) -> SlowdownResult:
        return self._bench.slowdown(self._pair, shape, against, confidence, self._measures)

    def compare(self, measure: Measure) -> Comparison:
        return self._compare(self.work, measure)
