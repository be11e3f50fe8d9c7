"""Objects that fixtures give to tests in Python: a pair's model, its evaluation and its scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.engine.workbench import Workbench
    from pytest_embedbench.models.protocol import ModelFacts, Vectors
    from pytest_embedbench.suite.pairs import Pair
    from pytest_embedbench.suite.plan import Suite


class Score(float):
    """The mean of a metric, as a float that explains itself when an assertion about it fails.

    plugin.py looks for this class by the name of its module, to keep idle sessions from importing it.
    """

    measure: str
    explain: Callable[[], list[str]]
    """Return lines that show the queries with the lowest values."""

    def __new__(cls, value: float, measure: str, explain: Callable[[], list[str]]) -> Self:
        score = super().__new__(cls, value)
        score.measure, score.explain = measure, explain
        return score

    def __repr__(self) -> str:
        return f"{float(self):.4f}"


def explain_comparison(op: str, left: Score, right: object) -> list[str]:
    """Return the lines that pytest shows for a failed ``assert left op right``."""
    return [f"{left.measure} {float(left):.4f} {op} {right}", *left.explain()]


class BoundPair:
    """A pair with its suite and the workbench that does its work."""

    def __init__(self, bench: Workbench, suite: Suite, pair: Pair) -> None:
        self.bench, self.suite, self.pair = bench, suite, pair


class EmbedModel:
    """Model of a pair, the value of the fixture ``embed_model``."""

    def __init__(self, bound: BoundPair) -> None:
        self._bound = bound

    @property
    def name(self) -> str:
        """Alias of the model."""
        return self._bound.pair.model.alias

    @property
    def facts(self) -> ModelFacts:
        """Facts that the model declares: dimensions, longest input, prompts, ..."""
        return self._bound.bench.facts(self._bound.pair)

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        """Return vectors of texts with the role's prompt, shape (texts, dimensions), float32.

        Raises:
            ModelError: the model has no vectors (BM25), or they cannot be used.
        """
        return self._bound.bench.encode(self._bound.pair, texts, role)


class EmbedEvaluation(Mapping[str, Score]):
    """Scores of a pair by metric, the value of the fixture ``embed_evaluation``.

    ``assert embed_evaluation["ndcg@10"] >= 0.3`` shows the queries with the lowest values when it fails.
    """

    def __init__(self, bound: BoundPair) -> None:
        self._bound = bound
        self._work = bound.bench.evaluation(bound.pair, bound.suite.measures)

    def __getitem__(self, name: str) -> Score:
        from pytest_embedbench.core.measures import parse_measure
        from pytest_embedbench.errors import EmbedbenchError, closest

        measure = parse_measure(name)
        if str(measure) not in self._work.means:
            raise EmbedbenchError(f"{measure} was not recorded", fix=closest(str(measure), self._work.means))
        # The explanation searches the whole ranking, so it is made only when an assertion fails.
        return Score(self._work.means[str(measure)], str(measure), lambda: self._explain(str(measure)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._work.means)

    def __len__(self) -> int:
        return len(self._work.means)

    @property
    def result_path(self) -> Path:
        """Path of the stored result."""
        return self._work.path

    @property
    def per_query(self) -> dict[str, dict[str, float]]:
        """Metric -> query id -> value."""
        return self._work.scores

    @property
    def run(self) -> Any:
        """Query id -> ranking, a list of (document id, score), best first."""
        return self._work.run

    def _explain(self, name: str) -> list[str]:
        from pytest_embedbench.checks.quality import show_worst
        from pytest_embedbench.core.measures import parse_measure

        return show_worst(self._work.worst_queries(parse_measure(name)))
