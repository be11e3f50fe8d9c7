"""Fixtures for tests in Python: the pair's model, dataset, evaluation and load profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from pytest_embedbench.scores import Score
from pytest_embedbench.session import KEY

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Dataset
    from pytest_embedbench.load.statistics import ProfileResult
    from pytest_embedbench.models.protocol import ModelFacts, Role, Vectors
    from pytest_embedbench.suite import Pair, Suite
    from pytest_embedbench.workbench import Workbench


class BoundPair:
    """A pair, with the workbench that does its work."""

    def __init__(self, bench: Workbench, suite: Suite, pair: Pair) -> None:
        self.bench, self.suite, self.pair = bench, suite, pair


class EmbedModel:
    """The pair's model: ``encode(texts, role="document")`` gives vectors, shape (texts, dimensions), float32."""

    def __init__(self, bound: BoundPair) -> None:
        self._bound = bound

    @property
    def name(self) -> str:
        return self._bound.pair.model.alias

    @property
    def facts(self) -> ModelFacts:
        return self._bound.bench.model(self._bound.pair.model).facts

    def encode(self, texts: Sequence[str], role: Role = "document") -> Vectors:
        """Encode with the role's prompt. Raises ModelError for a model without vectors (BM25)."""
        return self._bound.bench.encode(self._bound.pair.model, texts, role)


class EmbedEvaluation(Mapping[str, Score]):
    """Means by measure: ``embed_evaluation["ndcg@10"] >= 0.3``. A failed comparison shows the worst queries."""

    def __init__(self, bound: BoundPair) -> None:
        self._bound = bound
        self._work = bound.bench.evaluation(bound.pair, bound.suite.measures)

    def __getitem__(self, name: str) -> Score:
        from pytest_embedbench.errors import EmbedbenchError, closest
        from pytest_embedbench.measures import parse_measure

        measure = parse_measure(name)
        if str(measure) not in self._work.means:
            raise EmbedbenchError(f"{measure} was not recorded; {closest(str(measure), self._work.means)}")
        return Score(self._work.means[str(measure)], str(measure), lambda: self._explain(str(measure)))

    def __iter__(self) -> Iterator[str]:
        return iter(self._work.means)

    def __len__(self) -> int:
        return len(self._work.means)

    @property
    def per_query(self) -> dict[str, dict[str, float]]:
        """Values: measure -> query id -> value."""
        return self._work.scores

    @property
    def run(self) -> Any:
        """The ranking of each query: ``run[query_id]`` is a list of (document id, score), best first."""
        return self._work.run

    def _explain(self, name: str) -> list[str]:
        from pytest_embedbench.checks.quality import show_worst
        from pytest_embedbench.measures import parse_measure

        return show_worst(self._work.worst_queries(parse_measure(name)))


@pytest.fixture(scope="session")
def embed_pair(request: pytest.FixtureRequest) -> BoundPair:
    """The model x dataset pair of this test; the other embed fixtures are made of it."""
    suite, pair = request.param
    return BoundPair(request.config.stash[KEY].workbench(suite.settings), suite, pair)


@pytest.fixture(scope="session")
def embed_model(embed_pair: BoundPair) -> EmbedModel:
    """The pair's model: .encode(texts, role="query" or "document") gives vectors, .facts what it says of itself."""
    return EmbedModel(embed_pair)


@pytest.fixture(scope="session")
def embed_dataset(embed_pair: BoundPair) -> Dataset:
    """The pair's dataset: ids, texts, qrels, findings."""
    return embed_pair.bench.dataset(embed_pair.pair.dataset)


@pytest.fixture
def embed_evaluation(embed_pair: BoundPair, request: pytest.FixtureRequest) -> EmbedEvaluation:
    """Scores of the pair, computed once: embed_evaluation["ndcg@10"], .per_query, .run."""
    from pytest_embedbench.report import result_property

    evaluation = EmbedEvaluation(embed_pair)
    work = embed_pair.bench.evaluation(embed_pair.pair, embed_pair.suite.measures)
    request.node.user_properties.append(result_property(str(work.path)))
    return evaluation


@pytest.fixture
def embed_profile(embed_pair: BoundPair) -> Callable[[str], ProfileResult]:
    """Measure a load: call it with "b1 c16"; the result has .query.p50_ms, .corpus.tokens_per_s and so on."""
    from pytest_embedbench.load.shape import parse_shape

    def measure(shape: str) -> ProfileResult:
        parsed = parse_shape(shape)
        result = embed_pair.bench.profile(embed_pair.pair, parsed, embed_pair.suite.measures)
        return result.embedbench.profiles[str(parsed)]

    return measure
