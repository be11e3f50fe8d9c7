"""An evaluation as a whole, with models that are cheap: one that counts letters, and BM25."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_embedbench.core.measures import Measure, parse_measure
from pytest_embedbench.core.runs import Run
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.evaluate.evaluation import evaluate
from pytest_embedbench.evaluate.metrics import means
from pytest_embedbench.evaluate.search import depth_for
from pytest_embedbench.models.bm25 import BM25Model
from pytest_embedbench.models.load import load_model
from pytest_embedbench.models.protocol import (
    AnsweredBatch,
    Encoder,
    Limits,
    ModelFacts,
    PreparedText,
    Retriever,
    ServedEncoder,
)
from pytest_embedbench.models.served.requests import RequestError
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from pytest_embedbench.models.text_errors import UnusableTextsError
from pytest_embedbench.remote.errors import EndpointError
from tests.support.served_fake import ServedFake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.protocol import Vectors

NDCG = [Measure("ndcg", 10)]


class Letters:
    """A text's vector is the number of each of its letters a to d."""

    facts = ModelFacts(similarity="dot")

    def __init__(self) -> None:
        self.encoded: list[tuple[str, str]] = []

    def prepare(self, texts: Sequence[str], role: Role) -> list[PreparedText]:
        return [PreparedText(text, len(text) + 1, len(text)) for text in texts]

    def forward(self, batch: Sequence[PreparedText], role: Role) -> Vectors:
        self.encoded += [(role, text.payload) for text in batch]
        return np.array([[text.payload.count(letter) for letter in "abcd"] for text in batch], np.float32)


def dataset(**changes: object) -> Dataset:
    parts: dict[str, object] = {
        "name": "n",
        "split": "test",
        "doc_ids": ["d1", "d2", "d3", "d4", "q1"],
        "doc_texts": ["aa", "ab", "aa", "c", "aaa"],
        "query_ids": ["q1", "q2", "q3", "q4"],
        "query_texts": ["a", "c", "a", "d"],
        "qrels": {"q1": {"d1": 1}, "q2": {"d4": 2, "d2": 0}, "q3": {"d1": 0}, "lost": {"d1": 1}},
    }
    return Dataset(**{**parts, **changes})  # type: ignore[arg-type]


def test_an_evaluation_ranks_judged_queries_over_distinct_texts() -> None:
    model = Letters()
    found = evaluate(model, dataset(), [Measure("mrr", 10), Measure("recall", 1)])
    assert list(found.run) == ["q1", "q2"], "q3 has no positive judgment, q4 none, the lost one no text"
    assert found.run["q1"] == [("q1", 3.0), ("d3", 2.0), ("d1", 2.0), ("d2", 1.0), ("d4", 0.0)]
    assert found.scores == {"mrr@10": {"q1": 1 / 3, "q2": 1.0}, "recall@1": {"q1": 0.0, "q2": 1.0}}
    assert sorted(model.encoded) == sorted(
        [("document", text) for text in ("aa", "ab", "c", "aaa")] + [("query", "a"), ("query", "c")]
    )
    assert found.encode["corpus_own_tokens"] == 8
    assert found.encode["corpus_tokens"] == 12
    assert (found.encode["query_own_tokens"], found.encode["query_tokens"]) == (2, 4)
    assert found.seconds > 0


def test_a_dataset_may_ask_to_drop_the_querys_own_document() -> None:
    found = evaluate(Letters(), dataset(drop_self=True), [Measure("mrr", 10)])
    assert [doc for doc, _ in found.run["q1"]] == ["d3", "d1", "d2", "d4"]
    assert len(found.run["q2"]) == 5
    assert found.scores["mrr@10"] == {"q1": 1 / 2, "q2": 1.0}


def test_dropping_the_own_document_leaves_full_depth() -> None:
    ids = [f"d{n:03}" for n in range(150)]
    data = dataset(doc_ids=[*ids, "q1"], doc_texts=["a" * (n + 1) for n in range(150)] + ["a" * 500], drop_self=True)
    found = evaluate(Letters(), data, NDCG)
    assert [doc for doc, _ in found.run["q1"]] == ids[::-1][:100]


def test_without_judgments_all_queries_are_ranked_and_none_is_scored() -> None:
    done = evaluate(Letters(), dataset(qrels={}), NDCG)
    assert set(done.run) == set(dataset().query_ids)
    assert means(done.scores) == {}


def test_without_queries_nothing_is_encoded() -> None:
    model = Letters()
    done = evaluate(model, dataset(qrels={}, query_ids=[], query_texts=[]), NDCG)
    assert len(done.run) == 0
    assert model.encoded == []


@pytest.mark.parametrize(("names", "depth"), [([], 100), (["ndcg@10"], 100), (["ndcg@10", "recall@1000"], 1000)])
def test_depth(names: list[str], depth: int) -> None:
    assert depth_for([parse_measure(name) for name in names]) == depth


def test_the_run_is_as_deep_as_the_deepest_measure() -> None:
    data = dataset(doc_ids=[f"d{n}" for n in range(300)], doc_texts=["a" * (n + 1) for n in range(300)])
    found = evaluate(Letters(), data, [Measure("recall", 200)])
    assert (found.depth, len(found.run["q1"])) == (200, 200)


# BM25


def bm25() -> BM25Model:
    model = load_model(NamedModel(alias="bm25", spec=ModelSpec(kind="bm25")), device="", dtype="fp32")
    assert isinstance(model, BM25Model)
    assert isinstance(model, Retriever)
    assert not isinstance(model, Encoder)
    return model


def test_bm25_ranks_by_stems_and_leaves_out_what_shares_no_term() -> None:
    data = dataset(
        doc_ids=["d1", "d2", "d3"],
        doc_texts=["the cats were running", "a dog runs and runs", "stock markets"],
        query_ids=["q1"],
        query_texts=["cat run"],
        qrels={"q1": {"d1": 1}},
    )
    found = evaluate(bm25(), data, [Measure("mrr", 10)])
    assert [doc for doc, _ in found.run["q1"]] == ["d1", "d2"]
    assert found.scores == {"mrr@10": {"q1": 1.0}}
    assert found.encode == {}


def test_bm25_ranks_a_collection_without_judgments_too() -> None:
    assert set(evaluate(bm25(), dataset(qrels={}), NDCG).run) == set(dataset().query_ids)
    assert evaluate(bm25(), dataset(qrels={}, query_ids=[], query_texts=[]), NDCG).run == Run({})


def test_bm25_scores_on_nfcorpus_are_the_literatures(shared: Path) -> None:
    spec = DatasetSpec(path=str(shared / "data" / "nfcorpus"))
    data = load_dataset(NamedDataset(alias="NFCorpus", spec=spec))
    found = evaluate(bm25(), data, NDCG)
    assert len(found.scores["ndcg@10"]) == 323
    assert means(found.scores)["ndcg@10"] == pytest.approx(0.3208, abs=0.002)


class Served(Letters, ServedFake):
    """``Letters`` behind a server that refuses blank texts."""

    facts = ModelFacts(device="endpoint")

    def __init__(self) -> None:
        Letters.__init__(self)
        ServedFake.__init__(self, Limits(texts=2, tokens=1000, requests=2))

    def submit(self, batch: Sequence[PreparedText], role: Role, **_: object) -> Future[AnsweredBatch]:
        future: Future[AnsweredBatch] = Future()
        if not all(text.payload.strip() for text in batch):
            future.set_exception(RequestError(EndpointError("HTTP 400: blank input", status=400)))
        else:
            vectors = self.forward(batch, role)
            vectors[["z" in text.payload for text in batch]] = np.nan
            future.set_result(AnsweredBatch(vectors, batch, {}))
        return future


BLANK = {"doc_texts": ["aa", "", "ab", " \n", "aaa"], "query_texts": ["a", "", "a", "d"]}


def test_blank_texts_are_not_sent_to_a_server_and_such_documents_rank_last() -> None:
    model = Served()
    assert isinstance(model, ServedEncoder)
    data = dataset(**BLANK, qrels={"q1": {"d1": 1, "d2": 1}, "q2": {"d1": 1}})
    evaluation = evaluate(model, data, [*NDCG, Measure("recall", 100)])
    assert {text for _, text in model.encoded} == {"a", "aa", "ab", "aaa"}
    assert [doc for doc, _ in evaluation.run["q1"]] == ["q1", "d1", "d3", "d4", "d2"]
    assert evaluation.scores["recall@100"] == {"q1": 1.0, "q2": 0.0}  # a blank query retrieves nothing
    # A local model encodes them as they are, as sentence-transformers does.
    local = Letters()
    evaluate(local, data, NDCG)
    assert {"", " \n"} <= {text for _, text in local.encoded}


def test_texts_without_a_usable_vector_are_named_by_their_ids() -> None:
    texts = ["aa", "ab z", "aa", "z", "aaa"]
    with pytest.raises(UnusableTextsError) as caught:
        evaluate(Served(), dataset(doc_texts=texts), NDCG)
    assert str(caught.value).splitlines()[:3] == [
        "model 'fake': 2 documents have no usable vector:",
        "  the vector of document d2 is NaN or infinite (4 characters: 'ab z')",
        "  the vector of document d4 is NaN or infinite (1 character: 'z')",
    ]
