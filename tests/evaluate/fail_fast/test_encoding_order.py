"""Orders and blocks: every document once, cheapest first, learning from scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_embedbench.core.runs import Run
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.evaluate.fail_fast.block_sizes import BlockSizes, batch_budget
from pytest_embedbench.evaluate.fail_fast.encoding_order import EncodingOrder
from pytest_embedbench.evaluate.fail_fast.word_overlap import Lexicon

WORDS = ["cell", "gene", "heart", "lung", "yeast"]
texts = st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join)


def collection(doc_texts: list[str], queries: dict[str, str], qrels: dict[str, dict[str, int]]) -> Dataset:
    return Dataset(
        name="n",
        split="test",
        doc_ids=[f"d{n}" for n in range(len(doc_texts))],
        doc_texts=doc_texts,
        query_ids=list(queries),
        query_texts=list(queries.values()),
        qrels=qrels,
    )


@settings(deadline=None)
@given(doc_texts=st.lists(texts, min_size=1, max_size=30), with_run=st.booleans(), data=st.data())
def test_every_document_comes_once_and_equal_texts_together(
    doc_texts: list[str], with_run: bool, data: st.DataObject
) -> None:
    docs = st.sampled_from([f"d{n}" for n in range(len(doc_texts))])
    judged = {query: data.draw(st.dictionaries(docs, st.integers(0, 2), max_size=5)) for query in ("x", "y")}
    dataset = collection(doc_texts, {"x": "heart gene", "y": ""}, judged)
    run = Run({"x": [(doc, 1.0) for doc in sorted(data.draw(st.sets(docs)))]}) if with_run else None
    order = EncodingOrder(dataset, earlier=run)
    came: list[int] = []
    while len(block := order.next(data.draw(st.integers(1, 9)))):
        seen_before = {doc_texts[doc] for doc in came}
        assert not seen_before & {doc_texts[doc] for doc in block}
        order.learn(block, np.ones((len(dataset.judged_queries), len(block))) * block)
        came += block.tolist()
    assert sorted(came) == list(range(len(doc_texts)))


def test_cheap_queries_and_hard_documents_come_first() -> None:
    """Query x has one relevant document, y has ten; d11 shares x's word."""
    dataset = collection(
        ["heart", *(f"lung {n}" for n in range(10)), "heart too", *("yeast a", "yeast b")],
        {"x": "heart", "y": "lung"},
        {"x": {"d0": 1}, "y": {f"d{n}": 1 for n in range(1, 11)}},
    )
    queue = EncodingOrder(dataset).queue.tolist()
    assert queue[:2] == [0, 11]
    assert set(queue[2:12]) == set(range(1, 11))


def test_an_earlier_run_says_what_is_hard() -> None:
    dataset = collection(["gene a", "gene b", "gene c", "gene d"], {"x": "lung"}, {"x": {"d1": 1}})
    run = Run({"x": [("d3", 3.0), ("d1", 2.5), ("d0", 2.0), ("missing", 1.0)]})
    assert EncodingOrder(dataset, earlier=run).queue.tolist() == [1, 3, 0, 2]


def test_the_models_own_scores_change_the_order() -> None:
    """Nothing shares a word with the query; what is like the documents that lead comes next, wherever it stands."""
    dataset = collection(
        ["answer", *(f"gene {n}" for n in range(100)), *(f"lung {n}" for n in range(100, 200))],
        {"x": "which"},
        {"x": {"d0": 1}},
    )
    order = EncodingOrder(dataset)
    assert (order.queue[1:101] <= 100).mean() > 0.9
    first = np.array([*range(1, 16), *range(101, 116)])
    scored = np.where(first > 100, 0.9, 0.1)[None, :]
    order._left[first] = False
    order.learn(first, scored)
    following = order.next(20)
    assert (following > 100).mean() > 0.9


# Words


def test_bm25_is_the_formula() -> None:
    """Two of three documents hold the word: idf = ln(1 + 1.5/2.5); lengths 1, 2, 3, mean 2."""
    found = Lexicon(["Heart", "heart lung", "yeast yeast yeast"]).bm25(["heart, HEART!", "nothing"]).toarray()
    idf = np.log(1.6)
    expected = [idf * 2.5 / (1 + 1.5 * (0.25 + 0.75 * length / 2)) for length in (1, 2)]
    assert found.tolist() == [[pytest.approx(expected[0]), pytest.approx(expected[1]), 0.0], [0.0, 0.0, 0.0]]


def test_likeness_leaves_a_document_itself_out() -> None:
    lexicon = Lexicon(["heart", "heart", "lung", ""])
    found = lexicon.likeness(np.array([[0, 2], [1, 3]]))
    assert found == pytest.approx(np.array([[0, 1, 0, 0], [1, 0, 0, -1]]), abs=1e-9)


def test_texts_without_words() -> None:
    lexicon = Lexicon(["", "..."])
    assert lexicon.bm25(["heart"]).toarray().tolist() == [[0.0, 0.0]]


# Blocks


def test_blocks_grow_while_a_proof_is_far_and_shrink_towards_it() -> None:
    blocks = BlockSizes(1000)
    assert blocks.size(0, 0.5) == 20
    assert blocks.size(20, 0.49) == 20
    assert blocks.size(40, 0.47) == 40
    assert blocks.size(80, 0.1) == 20
    assert blocks.size(100, 0.09) == 100


def test_blocks_give_up_at_once_where_too_little_is_left() -> None:
    blocks = BlockSizes(1000)
    blocks.size(0, 0.5)
    blocks.size(150, 0.2)
    assert blocks.size(300, 0.15) == 700
    assert BlockSizes(10).size(0, float("inf")) == 1


@given(st.integers(1, 500), st.lists(st.floats(0, 1), min_size=1))
def test_blocks_come_to_an_end(documents: int, gaps: list[float]) -> None:
    blocks, seen = BlockSizes(documents), 0
    for gap in sorted(gaps, reverse=True) + [min(gaps)] * documents:
        if seen >= documents:
            break
        size = blocks.size(seen, gap)
        assert size >= 1
        seen += size
    assert seen >= documents


def test_batches_of_a_block_are_many_but_not_tiny() -> None:
    assert batch_budget(24_000, 4096) == 1000
    assert batch_budget(1_000_000, 4096) == 4096
    assert batch_budget(100, 4096) == 512
