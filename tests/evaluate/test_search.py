"""Runs and exact search: trec_eval's order, against a brute-force reference with many exact ties."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.core.runs import Ranking, Run
from pytest_embedbench.evaluate import search as search_module
from pytest_embedbench.evaluate.search import Search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_embedbench.models.protocol import Vectors

# Whole numbers, so that inner products are exact and ties are real; few of them, so that ties are many.
coordinates = st.integers(-2, 2)
ids = st.text(st.sampled_from("aBz09-_é日𝕏"), min_size=1, max_size=4)


def search(
    vectors: Vectors, groups: Sequence[Sequence[str]], queries: Vectors, query_ids: Sequence[str], depth: int
) -> Run:
    """Rank documents whose vectors are all there."""
    found = Search(groups, queries, query_ids, depth, "dot")
    found.push(range(len(vectors)), vectors)
    return found.run()


@st.composite
def collections(draw: st.DrawFn) -> tuple[Vectors, list[list[str]], Vectors]:
    """Vectors of distinct texts, the documents that have each text, and query vectors."""
    dimensions = draw(st.integers(1, 3))
    vector = st.lists(coordinates, min_size=dimensions, max_size=dimensions)
    docs = draw(st.lists(ids, unique=True, min_size=1, max_size=25))
    vectors = draw(st.lists(vector, min_size=1, max_size=len(docs)))
    homes = [*range(len(vectors)), *(draw(st.integers(0, len(vectors) - 1)) for _ in docs[len(vectors) :])]
    groups: list[list[str]] = [[] for _ in vectors]
    for doc, home in zip(docs, homes, strict=True):
        groups[home].append(doc)
    queries = draw(st.lists(vector, min_size=1, max_size=4))
    return np.array(vectors, np.float32), groups, np.array(queries, np.float32)


def brute_force(vectors: Vectors, groups: Sequence[Sequence[str]], query: Vectors) -> Ranking:
    """Every document: score descending, then id descending in the order of UTF-8 bytes, as strcmp compares."""
    scored = [(doc, float(vectors[index] @ query)) for index, members in enumerate(groups) for doc in members]
    by_id = sorted(scored, key=lambda hit: hit[0].encode(), reverse=True)
    return sorted(by_id, key=lambda hit: -hit[1])


def names(queries: NDArray[np.float32]) -> list[str]:
    return [f"q{n}" for n in range(len(queries))]


@pytest.mark.parametrize("block", [1, 2, 8, 21, 8192])
@given(collection=collections(), depth=st.integers(1, 30))
def test_search_equals_brute_force(
    collection: tuple[Vectors, list[list[str]], Vectors], depth: int, block: int
) -> None:
    vectors, groups, queries = collection
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_module, "MAX_SCORES", block)
        run = search(vectors, groups, queries, names(queries), depth)
    assert list(run) == names(queries)
    for name, query in zip(names(queries), queries, strict=True):
        assert run[name] == brute_force(vectors, groups, query)[:depth]


@given(collection=collections(), depth=st.integers(1, 30), data=st.data())
def test_search_scores_as_trec_eval_scores_the_full_run(
    collection: tuple[Vectors, list[list[str]], Vectors], depth: int, data: st.DataObject
) -> None:
    """trec_eval ranks all documents by its own rules; our cut must be the beginning of its ranking."""
    vectors, groups, queries = collection
    docs = [doc for members in groups for doc in members]
    qrels = {
        name: {doc: data.draw(st.integers(0, 2), label=f"{name} {doc}") for doc in docs} for name in names(queries)
    }
    full = {
        name: dict(brute_force(vectors, groups, query)) for name, query in zip(names(queries), queries, strict=True)
    }
    ours = search(vectors, groups, queries, names(queries), depth)
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {f"{m}.{depth}" for m in ("ndcg_cut", "map_cut", "recall", "P")})
    assert evaluator.evaluate({name: dict(ours[name]) for name in ours}) == evaluator.evaluate(full)


def test_all_scores_tie() -> None:
    run = search(np.ones((50, 2), np.float32), [[f"d{n:02}"] for n in range(50)], np.ones((1, 2), np.float32), ["q"], 3)
    assert run["q"] == [("d49", 2.0), ("d48", 2.0), ("d47", 2.0)]


def test_a_group_that_straddles_the_cut() -> None:
    """Documents of one text tie, so ids decide which of them are in, also between the members of two groups."""
    vectors = np.array([[1.0], [1.0], [2.0]], np.float32)
    run = search(vectors, [["a", "y"], ["b", "x"], ["m"]], np.array([[1.0]], np.float32), ["q"], 3)
    assert run["q"] == [("m", 2.0), ("y", 1.0), ("x", 1.0)]


def test_real_valued_vectors_over_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_module, "MAX_SCORES", 20 * 64)
    random = np.random.default_rng(5)
    vectors = random.standard_normal((1000, 16)).astype(np.float32)
    queries = random.standard_normal((20, 16)).astype(np.float32)
    run = search(vectors, [[f"d{n}"] for n in range(1000)], queries, names(queries), 10)
    scores = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    for row, name in enumerate(names(queries)):
        expected = np.argsort(-scores[row])[:10]
        assert [doc for doc, _ in run[name]] == [f"d{n}" for n in expected]
        assert [score for _, score in run[name]] == pytest.approx(scores[row][expected].tolist(), abs=1e-4)


def test_no_queries_is_an_empty_run() -> None:
    """What the encode loop gives for no text is of shape (0, 0)."""
    run = search(np.ones((3, 4), np.float32), [["a"], ["b"], ["c"]], np.empty((0, 0), np.float32), [], 10)
    assert list(run) == []


# Runs

rankings = st.lists(st.tuples(ids, st.integers(-2, 2).map(float)), unique_by=lambda hit: hit[0], max_size=8)


@given(st.dictionaries(ids, rankings, max_size=3), st.integers(0, 9))
def test_runs_are_in_trec_evals_order(given_rankings: dict[str, Ranking], depth: int) -> None:
    run = Run(given_rankings)
    assert (set(run), len(run)) == (set(given_rankings), len(given_rankings))
    for query, ranking in given_rankings.items():
        expected = sorted(sorted(ranking, key=lambda hit: hit[0].encode(), reverse=True), key=lambda hit: -hit[1])
        assert run[query] == expected
        assert run.cut(depth)[query] == expected[:depth]


@given(rankings, st.randoms(use_true_random=False))
def test_a_run_does_not_depend_on_the_order_it_was_given(ranking: Ranking, random: object) -> None:
    shuffled = list(ranking)
    getattr(random, "shuffle")(shuffled)  # noqa: B009
    assert Run({"q": ranking}) == Run({"q": shuffled})
    assert Run({"q": [*ranking, ("extra", 9.0)]}) != Run({"q": ranking})


@given(ranking=rankings)
def test_the_relevant_documents_rank_is_trec_evals(ranking: Ranking) -> None:
    for place, (doc, _) in enumerate(Run({"q": ranking})["q"], 1):
        value = pytrec_eval.RelevanceEvaluator({"q": {doc: 1}}, {"recip_rank"}).evaluate({"q": dict(ranking)})
        assert value["q"]["recip_rank"] == 1 / place


def test_without_self_drops_the_querys_own_document_before_the_cut() -> None:
    run = Run({"a": [("a", 3.0), ("b", 2.0), ("c", 1.0)], "x": [("a", 3.0), ("b", 2.0), ("c", 1.0)]})
    assert run.without_self(2) == Run({"a": [("b", 2.0), ("c", 1.0)], "x": [("a", 3.0), ("b", 2.0)]})
    assert run["a"][0] == ("a", 3.0)
