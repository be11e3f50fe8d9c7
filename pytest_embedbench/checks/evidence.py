"""Measurements that checks can ask for. The engine makes them; checks only see these types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from pytest_embedbench.checks.comparison import Comparison
    from pytest_embedbench.checks.verdict import PairNames
    from pytest_embedbench.core.measures import Measure
    from pytest_embedbench.load.rates import RateResult
    from pytest_embedbench.load.ratio import SlowdownResult
    from pytest_embedbench.load.shape import LoadShape, Shape
    from pytest_embedbench.load.statistics import ProfileResult
    from pytest_embedbench.models.spec import NamedModel


class QueryOutcome(NamedTuple):
    """One query's score, the document ranked first and the rank of the first relevant one (0: not ranked).

    ``ranked_first`` is the document's id and its title or first words, or is empty.
    """

    query_id: str
    text: str
    score: float
    ranked_first: str
    first_relevant_rank: int


class LoadEvidence(NamedTuple):
    """A load profile, and what the process took: seconds to load the model (None: unknown), peak memory in bytes.

    ``memory`` has the peaks of the ``process`` and, on an accelerator, of the ``device``.
    """

    profile: ProfileResult
    load_seconds: float | None
    memory: Mapping[str, int]


class MaxRateSearch(NamedTuple):
    """A search for the highest rate of requests, ``batch`` texts each, whose p99 stays within ``latency_ms``."""

    batch: int
    side: Literal["query", "corpus"]
    latency_ms: float

    def __str__(self) -> str:
        """Return the key of the search in a result file: ``b1 query at p99 <= 500 ms``."""
        return f"b{self.batch} {self.side} at p99 <= {self.latency_ms:.12g} ms"


class CheckEvidence(Protocol):
    """Measurements of one pair; each is made when it is first asked for.

    All raise ModelError where the model cannot be used, and DatasetError where the data cannot.
    """

    @property
    def names(self) -> PairNames:
        """The pair's names."""
        ...

    @property
    def has_vectors(self) -> bool:
        """Whether the model makes vectors; only then it has a load profile."""
        ...

    @property
    def means(self) -> Mapping[str, float]:
        """Mean of each recorded measure (``ndcg@10``) over the judged queries; empty where none is judged."""
        ...

    def worst_queries(self, measure: Measure) -> Sequence[QueryOutcome]:
        """Return the queries with the lowest values of a measure, worst first."""
        ...

    def profile(self, shape: Shape) -> LoadEvidence:
        """Measure the pair's model under a load."""
        ...

    def max_rate(self, search: MaxRateSearch) -> RateResult:
        """Search for the highest rate that the pair's model sustains."""
        ...

    def slowdown(self, shape: LoadShape, against: NamedModel, confidence: float) -> SlowdownResult:
        """Time the pair's model against another one, both sides, with intervals at ``confidence``."""
        ...

    def compare(self, measure: Measure) -> Comparison:
        """Compare the measure with the suite's baseline.

        Raises:
            BaselineError: the baseline's entry is of other data, so that scores cannot be compared.
        """
        ...
