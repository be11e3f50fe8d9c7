"""Proofs of failure: never wrong, never weaker with more documents, and of the verdict that trec_eval gives in the end."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.core.runs import Run
from pytest_embedbench.core.thresholds import Limit, parse_quality
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.evaluate.fail_fast.proof import FailureProver, Outlook, outlook
from pytest_embedbench.evaluate.metrics import means, score

Scores = NDArray[np.float32]
NAMES = [f"{family}@{k}" for family in ("ndcg", "map", "mrr", "recall", "precision") for k in (1, 3, 10)]


@st.composite
def collections(draw: st.DrawFn) -> tuple[Dataset, Scores]:
    """A dataset and the scores of its documents for its judged queries, with many ties.

    Grades from -1 to 3, documents without judgments and judgments without documents, queries without a positive
    judgment, texts that stand more than once (and score the same), queries that are documents.
    """
    docs = draw(st.lists(st.text("abcXYZ", min_size=1, max_size=3), unique=True, min_size=1, max_size=12))
    texts = [draw(st.integers(0, len(docs))) for _ in docs]
    queries = [*draw(st.lists(st.sampled_from(docs), unique=True, max_size=2)), "q1", "q2"]
    judgment = st.dictionaries(st.sampled_from([*docs, "gone", "away"]), st.integers(-1, 3))
    dataset = Dataset(
        name="n",
        split="test",
        doc_ids=docs,
        doc_texts=[f"text {n}" for n in texts],
        query_ids=queries,
        query_texts=[f"query {query}" for query in queries],
        qrels={query: draw(judgment) for query in queries},
        drop_self=draw(st.booleans()),
    )
    of_text = draw(
        st.lists(
            st.lists(st.sampled_from([-0.5, 0.0, 0.25, 0.75]), min_size=len(docs) + 1, max_size=len(docs) + 1),
            min_size=len(dataset.judged_queries),
            max_size=len(dataset.judged_queries),
        )
    )
    return dataset, np.array(of_text, np.float32).reshape(-1, len(docs) + 1)[:, texts]


def final_means(dataset: Dataset, scores: NDArray[np.floating]) -> dict[str, float]:
    """What the whole corpus gives, by trec_eval."""
    queries = dataset.judged_queries
    run = Run(
        {
            query: [(doc, float(value)) for doc, value in zip(dataset.doc_ids, scores[row], strict=True)]
            for row, query in enumerate(queries)
        }
    )
    if dataset.drop_self:
        run = run.without_self(100)
    return means(score(run, dataset.qrels, queries, [parse_measure(name) for name in NAMES]))


def limits(threshold: float, op: str = ">=") -> list[Limit]:
    return [Limit(name, op, threshold) for name in NAMES]


def blocks(data: st.DataObject, documents: int) -> list[list[int]]:
    order = data.draw(st.permutations(range(documents)), label="order")
    cuts = sorted(data.draw(st.sets(st.integers(0, documents)), label="cuts") | {0, documents})
    return [order[start:end] for start, end in pairwise(cuts)]


@settings(deadline=None)
@given(collection=collections(), data=st.data())
def test_bounds_hold_fall_and_end_at_the_value(collection: tuple[Dataset, Scores], data: st.DataObject) -> None:
    dataset, scores = collection
    final = final_means(dataset, scores)
    early = FailureProver(dataset, limits(0.5))
    before = early.bounds()
    assert {str(measure) for measure in before} == set(final)
    for block in blocks(data, len(dataset.doc_ids)):
        early.push(block, scores[:, block])
        now = early.bounds()
        for measure, bound in now.items():
            assert final[str(measure)] - 1e-12 <= bound <= before[measure] + 1e-12
        before = now
    assert early.share == 1
    assert {str(measure): bound for measure, bound in before.items()} == pytest.approx(final, abs=1e-12)


@settings(deadline=None)
@given(collection=collections(), data=st.data(), op=st.sampled_from([">=", ">"]))
def test_the_verdict_is_that_of_the_full_run(collection: tuple[Dataset, Scores], data: st.DataObject, op: str) -> None:
    """Also where the limit is the value itself, or the next number to it."""
    dataset, scores = collection
    final = final_means(dataset, scores)
    near = [float(np.nextafter(value, side)) for value in final.values() for side in (0, 1, value)]
    threshold = data.draw(st.floats(0, 1) | st.sampled_from([*near, 0.0, 1.0]), label="threshold")
    for limit in limits(threshold, op):
        early = FailureProver(dataset, [limit])
        holds = limit.holds(final[limit.subject]) if final else True
        for block in blocks(data, len(dataset.doc_ids)):
            early.push(block, scores[:, block])
            failure = early.proven()
            assert failure is None or (not holds and failure.limit == limit and failure.bound < threshold + 1e-12)
        if final and final[limit.subject] < threshold - 1e-6:
            assert early.proven() is not None


@settings(deadline=None)
@given(collection=collections(), data=st.data())
def test_bounds_hold_for_final_scores_that_differ_within_the_tolerance(
    collection: tuple[Dataset, Scores], data: st.DataObject
) -> None:
    """Ties broken, made and turned round by a run that rounds in another way."""
    dataset, scores = collection
    noise = st.floats(-0.12, 0.12)
    shift = np.array([[data.draw(noise) for _ in dataset.doc_ids] for _ in dataset.judged_queries])
    final = final_means(dataset, (scores + shift.reshape(scores.shape)).astype(np.float32))
    early = FailureProver(dataset, limits(0.5), tolerance=0.125)
    before = early.bounds()
    for block in blocks(data, len(dataset.doc_ids)):
        early.push(block, scores[:, block])
        for measure, bound in early.bounds().items():
            assert final[str(measure)] - 1e-12 <= bound <= before[measure] + 1e-12
        before = early.bounds()


# By hand

ROWS = Dataset(
    name="n",
    split="test",
    doc_ids=["a", "b", "c", "d"],
    doc_texts=["1", "2", "3", "4"],
    query_ids=["x", "y"],
    query_texts=["x", "y"],
    qrels={"x": {"a": 1}, "y": {"b": 1, "gone": 1}},
)


def test_a_proof_says_what_it_proves() -> None:
    early = FailureProver(ROWS, [parse_quality("mrr@10 >= 0.8"), parse_quality("recall@10 >= 0.9")])
    # y can reach 1/2 of recall at most: one of its two relevant documents is not in the corpus.
    failure = early.proven()
    assert failure is not None
    assert (failure.limit.subject, failure.bound, failure.share) == ("recall@10", 0.75, 0.0)
    early.push([0, 2], np.array([[1.0, 2.0], [0.0, 1.0]]))
    failure = early.proven()
    assert failure is not None
    assert (failure.limit.subject, failure.bound, failure.share) == ("mrr@10", 0.75, 0.5)
    assert str(failure) == "mrr@10 <= 0.7500 after 50% of the corpus"


def test_a_missed_limit_is_told_from_one_that_is_just_kept() -> None:
    for threshold, missed in ((0.75, False), (0.75 + 1e-10, False), (0.751, True)):
        early = FailureProver(ROWS, [Limit("mrr@10", ">=", threshold)])
        early.push([0, 1, 2, 3], np.array([[1, 0, 2, 0], [0, 1, 0, 0]], np.float32))
        assert (early.proven() is not None) == missed
        assert early.gap(early.bounds()) == pytest.approx(0.75 - threshold)


def test_upper_limits_are_not_this_modules_business() -> None:
    early = FailureProver(ROWS, [parse_quality("mrr@10 <= 0.1"), parse_quality("mrr@10 < 0.1")])
    early.push([0, 1, 2, 3], np.zeros((2, 4)))
    assert (early.limits, early.bounds(), early.proven(), early.gap({})) == ([], {}, None, float("inf"))


def test_without_judged_queries_nothing_is_proven() -> None:
    early = FailureProver(replace(ROWS, qrels={"x": {"a": 0}}), [parse_quality("mrr@10 >= 0.8")])
    early.push([0, 1], np.empty((0, 2)))
    assert (early.bounds(), early.proven(), early.share) == ({}, None, 0.5)


def test_the_outlook_counts_what_the_worst_model_needs() -> None:
    """With a and b first, the worst model has lost both after two documents: mean mrr 1, then 1/2, then 0."""
    order = np.array([0, 1, 2, 3])
    assert outlook(ROWS, [parse_quality("mrr@10 >= 0.6")], order) == Outlook(0.5, 0.25)
    assert outlook(ROWS, [parse_quality("mrr@10 >= 0.4")], order) == Outlook(0.5, 0.5)
    assert outlook(ROWS, [parse_quality("mrr@10 >= 0.4")], order[::-1]) == Outlook(0.5, 1.0)
    assert outlook(ROWS, [parse_quality("mrr@10 >= 0")], order) == Outlook(0.5, None)
    assert outlook(ROWS, [], order) == Outlook(0.5, None)
    assert str(outlook(ROWS, [parse_quality("mrr@10 >= 0.4")], order)) == (
        "50% of the documents are judged relevant to some query; "
        "a failure cannot be proven before about 50% of the corpus are encoded"
    )


@settings(deadline=None)
@given(collection=collections(), data=st.data(), threshold=st.floats(0.05, 1))
def test_no_model_is_proven_to_fail_before_the_outlook_says(
    collection: tuple[Dataset, Scores], data: st.DataObject, threshold: float
) -> None:
    dataset, scores = collection
    order = np.array(data.draw(st.permutations(range(len(dataset.doc_ids)))))
    soonest = outlook(dataset, limits(threshold), order).soonest
    early = FailureProver(dataset, limits(threshold))
    for doc in order:
        if early.proven():
            break
        early.push([doc], scores[:, [doc]])
    if early.proven():
        assert soonest is not None
        assert early.share >= soonest
