"""Measures against definitions written out in plain Python, and against numbers worked out by hand."""

from __future__ import annotations

from math import log2

import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.core.measures import Measure, parse_measure
from pytest_embedbench.core.runs import Ranking, Run
from pytest_embedbench.evaluate.metrics import means, score

Judged = dict[str, int]

DOCS = [f"d{n}" for n in range(9)]


# The definitions, written without a look at trec_eval's code


def ranked_grades(ranking: Ranking, judged: Judged, k: int) -> list[int]:
    by_id = sorted(ranking, key=lambda hit: hit[0], reverse=True)
    ordered = sorted(by_id, key=lambda hit: hit[1], reverse=True)
    return [max(judged.get(doc, 0), 0) for doc, _ in ordered[:k]]


def dcg(grades: list[int]) -> float:
    return sum(grade / log2(rank + 1) for rank, grade in enumerate(grades, 1))


def reference(measure: Measure, ranking: Ranking, judged: Judged) -> float:
    grades = ranked_grades(ranking, judged, measure.k)
    relevant = sum(grade > 0 for grade in judged.values())
    hits = [rank for rank, grade in enumerate(grades, 1) if grade > 0]
    match measure.family:
        case "ndcg":
            ideal = sorted((max(grade, 0) for grade in judged.values()), reverse=True)
            return dcg(grades) / dcg(ideal[: measure.k])
        case "map":
            return sum(found / rank for found, rank in enumerate(hits, 1)) / relevant
        case "mrr":
            return 1 / hits[0] if hits else 0.0
        case "recall":
            return len(hits) / relevant
        case "precision":
            return len(hits) / measure.k
    raise AssertionError(measure)


measures = st.builds(
    Measure, st.sampled_from(["ndcg", "map", "mrr", "recall", "precision"]), st.integers(1, len(DOCS) + 2)
)
judgments = st.dictionaries(st.sampled_from([*DOCS, "gone"]), st.integers(-2, 3), min_size=1).filter(
    lambda judged: any(grade > 0 for grade in judged.values())
)
rankings = st.dictionaries(st.sampled_from([*DOCS, "unjudged"]), st.integers(0, 3).map(float)).map(
    lambda scored: list(scored.items())
)


@given(
    st.lists(st.tuples(judgments, st.none() | rankings), min_size=1, max_size=3),
    st.lists(measures, min_size=1),
)
def test_scores_equal_the_definitions(cases: list[tuple[Judged, Ranking | None]], wanted: list[Measure]) -> None:
    qrels = {f"q{n}": judged for n, (judged, _) in enumerate(cases)}
    run = Run({f"q{n}": ranking for n, (_, ranking) in enumerate(cases) if ranking is not None})
    scores = score(run, {**qrels, "unasked": {"d1": 1}}, list(qrels), wanted)
    assert set(scores) == {str(measure) for measure in wanted}
    for measure in wanted:
        assert list(scores[str(measure)]) == list(qrels)
        for n, (judged, ranking) in enumerate(cases):
            expected = reference(measure, ranking or [], judged)
            assert scores[str(measure)][f"q{n}"] == pytest.approx(expected, abs=1e-9), measure


@given(judgments, rankings)
def test_scores_do_not_depend_on_what_else_is_measured(judged: Judged, ranking: Ranking) -> None:
    run = Run({"q": ranking})
    names = ["ndcg@2", "ndcg@10", "map@3", "mrr@1", "mrr@10", "recall@2", "precision@5"]
    together = score(run, {"q": judged}, ["q"], [parse_measure(name) for name in names])
    for name in names:
        assert score(run, {"q": judged}, ["q"], [parse_measure(name)]) == {name: together[name]}


@given(judgments, rankings)
def test_mrr_sees_only_the_first_k(judged: Judged, ranking: Ranking) -> None:
    for k in range(1, len(DOCS) + 2):
        cut = score(Run({"q": ranking}).cut(k), {"q": judged}, ["q"], [Measure("mrr", 100)])["mrr@100"]
        assert score(Run({"q": ranking}), {"q": judged}, ["q"], [Measure("mrr", k)])[f"mrr@{k}"] == cut


# Scores that differ, but not in the 32 bits that trec_eval keeps, and scores that no cast can keep
close_scores = st.sampled_from([1.0, 1.0 + 1e-9, 1.0 + 2e-9, 1.0 + 1e-6, 0.1, 0.1 + 1e-12, -1.0, 1e-60, 0.0])
close_rankings = st.dictionaries(st.sampled_from([*DOCS, "unjudged"]), close_scores).map(
    lambda scored: list(scored.items())
)


def value_of_the_cut(measure: Measure, ranking: Ranking, judged: Judged, depth: int) -> float:
    """trec_eval's value of the run cut at ``depth``, mrr's at its own k."""
    families = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P"}
    name = "recip_rank" if measure.family == "mrr" else f"{families[measure.family]}.{measure.k}"
    cut = Run({"q": ranking}).cut(measure.k if measure.family == "mrr" else depth)
    grades = {doc: max(grade, 0) for doc, grade in judged.items()}
    evaluator = pytrec_eval.RelevanceEvaluator({"q": grades}, {name})
    return float(evaluator.evaluate({"q": dict(cut["q"])})["q"][name.replace(".", "_")])


@given(judgments, rankings | close_rankings, st.lists(measures, min_size=1))
def test_one_pass_gives_what_a_pass_for_each_cut_gives(judged: Judged, ranking: Ranking, wanted: list[Measure]) -> None:
    depth = max(measure.k for measure in wanted)
    scores = score(Run({"q": ranking}), {"q": judged}, ["q"], wanted)
    for measure in wanted:
        assert scores[str(measure)]["q"] == value_of_the_cut(measure, ranking, judged, depth), measure


@given(st.integers(1, 3000), st.integers(-1, 1))
def test_mrr_compares_ranks_and_not_rounded_numbers(rank: int, beyond: int) -> None:
    ranking = [(f"d{number}", float(-number)) for number in range(1, rank + 1)]
    k = max(rank - beyond, 1)
    scores = score(Run({"q": ranking}), {"q": {f"d{rank}": 1}}, ["q"], [Measure("mrr", k), Measure("recall", 3001)])
    assert scores[f"mrr@{k}"]["q"] == (1 / rank if rank <= k else 0.0)


def test_a_tie_of_trec_eval_at_the_cut_is_decided_among_what_the_cut_keeps() -> None:
    # In 32 bits all three tie, so that trec_eval ranks z, y, a. The cut at 2 keeps a and z, of which a is the second.
    ranking = [("a", 1.0 + 2e-9), ("z", 1.0), ("y", 1.0)]
    wanted = [Measure("mrr", 2), Measure("mrr", 3)]
    assert score(Run({"q": ranking}), {"q": {"a": 1}}, ["q"], wanted) == {"mrr@2": {"q": 1 / 2}, "mrr@3": {"q": 1 / 3}}


# Worked out by hand

RANKED = [("d1", 9.0), ("d2", 8.0), ("d3", 7.0), ("d4", 6.0), ("d5", 5.0)]


@pytest.mark.parametrize(
    ("name", "judged", "expected"),
    [
        # Grades 0, 2, 1 at ranks 1 to 3: dcg = 2/log2(3) + 1/log2(4) = 1.76186; ideal = 2 + 1/log2(3) = 2.63093.
        # (Exponential gains would make it 0.6590 instead of 0.6697.)
        ("ndcg@3", {"d2": 2, "d3": 1}, 1.7618595 / 2.6309298),
        # The ideal is over all judged documents, also one that no ranking finds: 2 + 1/log2(3) + 1/2 = 3.13093.
        ("ndcg@3", {"d2": 2, "d3": 1, "gone": 1}, 1.7618595 / 3.1309298),
        # One relevant document at rank 2: its grade cancels, 1/log2(3) is left.
        ("ndcg@5", {"d2": 2}, 0.6309298),
        ("ndcg@1", {"d2": 2}, 0.0),
        # Grades below zero gain and cost nothing.
        ("ndcg@2", {"d1": -1, "d2": 1}, 0.6309298),
        # Hits at ranks 1 and 3 of 4 relevant: (1/1 + 2/3) / 4.
        ("map@5", {"d1": 1, "d3": 1, "gone": 1, "away": 2}, 5 / 12),
        # The cut keeps the divisor: 1/1 / 3.
        ("map@1", {"d1": 1, "d3": 1, "gone": 1}, 1 / 3),
        ("mrr@10", {"d3": 1, "d4": 2}, 1 / 3),
        ("mrr@2", {"d3": 1}, 0.0),
        ("mrr@10", {"d1": 0, "d2": -1, "d4": 1}, 1 / 4),
        ("recall@3", {"d1": 1, "d3": 2, "d5": 1, "gone": 1, "d2": 0}, 2 / 4),
        # Precision divides by k, also where the ranking is shorter.
        ("precision@10", {"d1": 1, "d3": 2}, 2 / 10),
        ("precision@2", {"d1": 1, "d3": 2}, 1 / 2),
    ],
)
def test_by_hand(name: str, judged: Judged, expected: float) -> None:
    scores = score(Run({"q": RANKED}), {"q": judged}, ["q"], [parse_measure(name)])
    assert scores == {name: {"q": pytest.approx(expected, abs=1e-6)}}


def test_ties_go_to_the_higher_document_id() -> None:
    run = Run({"q": [("a", 1.0), ("b", 1.0), ("c", 1.0)]})
    assert score(run, {"q": {"a": 1}}, ["q"], [Measure("mrr", 10)]) == {"mrr@10": {"q": 1 / 3}}


def test_a_query_that_the_run_lacks_scores_zero_and_counts_in_the_mean() -> None:
    qrels = {"q1": {"d1": 1}, "q2": {"d1": 1}, "q3": {"d1": 1}}
    wanted = [Measure(family, 10) for family in ("ndcg", "map", "mrr", "recall")]
    scores = score(Run({"q1": RANKED, "q3": []}), qrels, list(qrels), wanted)
    assert all(values == {"q1": 1.0, "q2": 0.0, "q3": 0.0} for values in scores.values())
    assert means(scores) == {str(measure): pytest.approx(1 / 3) for measure in wanted}


def test_nothing_to_score() -> None:
    wanted = [Measure("ndcg", 10), Measure("mrr", 10)]
    assert score(Run({}), {}, [], wanted) == {"ndcg@10": {}, "mrr@10": {}}
    assert means({"ndcg@10": {}}) == {}
    assert score(Run({"q": RANKED}), {"q": {"d1": 1}}, ["q"], []) == {}
