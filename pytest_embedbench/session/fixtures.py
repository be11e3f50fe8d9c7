"""Fixtures for tests in Python. Loaded in every pytest session, so their imports stand inside the functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.session.state import KEY

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Dataset
    from pytest_embedbench.load.statistics import ProfileResult
    from pytest_embedbench.session.python_tests import BoundPair, EmbedEvaluation, EmbedModel


@contextmanager
def _one_failure(bound: BoundPair, request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test without a traceback if model or data cannot be used; skip it where another item reports that."""
    from pytest_embedbench.errors import EmbedbenchError
    from pytest_embedbench.session.causes import EXPLANATION, NOT_RUN

    try:
        yield
    except EmbedbenchError as error:
        cause, node_id = bound.bench.cause(error, bound.pair.model), request.node.nodeid
        reporter = request.config.stash[KEY].causes.reporter(cause, node_id)
        if reporter != node_id:
            request.node.user_properties.append((EXPLANATION, f"{NOT_RUN}{reporter}"))
            pytest.skip(f"{NOT_RUN}{reporter}")
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def embed_pair(request: pytest.FixtureRequest) -> BoundPair:
    """Model x dataset pair of this test, from which the other embed fixtures are made."""
    import msgspec

    from pytest_embedbench.session.python_tests import BoundPair

    suite, pair = request.param
    # The test has checks of its own: no limit of the suite may end its evaluation early.
    pair = msgspec.structs.replace(pair, checks=())
    return BoundPair(request.config.stash[KEY].workbench(suite.settings), suite, pair)


@pytest.fixture(scope="session")
def embed_model(embed_pair: BoundPair) -> EmbedModel:
    """Model of the pair: .encode(texts, role="query" or "document") returns vectors, .facts what it declares."""
    from pytest_embedbench.session.python_tests import EmbedModel

    return EmbedModel(embed_pair)


@pytest.fixture(scope="session")
def embed_dataset(embed_pair: BoundPair) -> Dataset:
    """Dataset of the pair: ids, texts, qrels, findings."""
    from pytest_embedbench.errors import EmbedbenchError

    try:
        return embed_pair.bench.dataset(embed_pair.pair.dataset)
    except EmbedbenchError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def embed_evaluation(embed_pair: BoundPair, request: pytest.FixtureRequest) -> EmbedEvaluation:
    """Scores of the pair, computed once: embed_evaluation["ndcg@10"], .per_query, .run."""
    from pytest_embedbench.session.properties import note_properties, result_property
    from pytest_embedbench.session.python_tests import EmbedEvaluation

    with _one_failure(embed_pair, request):
        evaluation = EmbedEvaluation(embed_pair)
    # The fixture is not of session scope, so that every test that uses it gets these properties.
    request.node.user_properties.append(result_property(str(evaluation.result_path)))
    request.node.user_properties += note_properties(embed_pair.bench)
    return evaluation


@pytest.fixture
def embed_profile(embed_pair: BoundPair, request: pytest.FixtureRequest) -> Callable[[str], ProfileResult]:
    """Function that measures a load, "b1 c16" or "b1 r50"; its result has .query.p50_ms, .corpus.p99_ms and so on."""
    from pytest_embedbench.load.shape import parse_shape

    if error := request.config.stash[KEY].lock_error:
        raise error

    def measure(shape: str) -> ProfileResult:
        parsed = parse_shape(shape)
        result = embed_pair.bench.profile(embed_pair.pair, parsed, embed_pair.suite.measures)
        return result.embedbench.profiles[str(parsed)]

    return measure
