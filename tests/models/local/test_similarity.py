"""The similarity that a checkpoint declares ranks its documents, as sentence-transformers' own evaluator ranks them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import AutoTokenizer, BertConfig, BertModel

from pytest_embedbench.core.measures import Measure
from pytest_embedbench.core.similarity import SIMILARITIES, Similarity
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.errors import ModelError
from pytest_embedbench.evaluate.evaluation import evaluate
from pytest_embedbench.evaluate.metrics import means
from pytest_embedbench.models.local.kind import KIND
from pytest_embedbench.models.local.library_network import LibraryNetwork
from pytest_embedbench.models.local.plain_network import PlainNetwork
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
from pytest_embedbench.models.registry import SourceCache
from pytest_embedbench.models.spec import ModelSpec, NamedModel
from tests.models.conftest import change

WORDS = [
    "tea",
    "whale",
    "castle",
    "violin",
    "bread",
    "volcano",
    "stone",
    "string",
    "leaf",
    "wall",
    "ash",
    "sea",
    "bow",
    "flour",
    "moat",
    "gas",
]
SETTINGS = "config_sentence_transformers.json"


@pytest.fixture(scope="module")
def body(minilm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small network without training, as transformers saves it."""
    folder = tmp_path_factory.mktemp("body")
    torch.manual_seed(3)
    sizes: dict[str, Any] = {
        "hidden_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    network: Any = BertModel(BertConfig(vocab_size=30522, **sizes))
    # Rows of different lengths, so that the similarities rank differently.
    network.embeddings.word_embeddings.weight.data *= torch.linspace(5, 200, 30522)[:, None]
    network.encoder.layer[0].output.LayerNorm.weight.data *= torch.linspace(0.1, 9, 24)
    network.save_pretrained(folder)
    AutoTokenizer.from_pretrained(minilm_folder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=SIMILARITIES)
def checkpoint(body: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Return a checkpoint without normalization that sentence-transformers has saved with a similarity."""
    folder: Path = tmp_path_factory.mktemp(request.param) / request.param
    transformer = Transformer(str(body))
    pooling = Pooling(transformer.get_embedding_dimension(), "mean")
    SentenceTransformer(modules=[transformer, pooling], similarity_fn_name=request.param, device="cpu").save_pretrained(
        str(folder)
    )
    return folder


def load(folder: Path, **spec: Any) -> SentenceTransformerModel:
    named = NamedModel(alias="model", spec=ModelSpec(path=str(folder), **spec))
    return SentenceTransformerModel(named, folder, device="cpu", dtype="fp32")


def dataset() -> Dataset:
    rng = random.Random(4)
    texts = [" ".join(rng.choices(WORDS, k=rng.randint(1, 12))) for _ in range(80)]
    return Dataset(
        name="words",
        split="test",
        doc_ids=[f"d{n}" for n in range(60)],
        doc_texts=texts[:60],
        query_ids=[f"q{n}" for n in range(20)],
        query_texts=texts[60:],
        qrels={f"q{n}": {f"d{doc}": 1 for doc in rng.sample(range(60), 4)} for n in range(20)},
    )


def test_the_ranking_is_that_of_sentence_transformers(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset()
    model = load(checkpoint)
    assert isinstance(model._network, PlainNetwork)
    assert (model.facts.similarity, model.facts.normalized) == (checkpoint.name, False)
    found = evaluate(model, data, [Measure("ndcg", 10), Measure("mrr", 10), Measure("recall", 10)])
    theirs = SentenceTransformer(str(checkpoint), device="cpu")
    # One score of a ranking is enough to see that it holds the similarity itself.
    for query, text in list(data.query_text.items())[:3]:
        expected = theirs.similarity(theirs.encode([text]), theirs.encode(data.doc_texts))[0].numpy()
        ours = dict(found.run[query])
        np.testing.assert_allclose([ours[doc] for doc in data.doc_ids], expected, rtol=1e-4, atol=1e-5)
    queries: Any = data.query_text
    corpus: Any = dict(zip(data.doc_ids, data.doc_texts, strict=True))
    evaluator = InformationRetrievalEvaluator(
        queries, corpus, {query: set(grades) for query, grades in data.qrels.items()}
    )
    expected_means = evaluator(theirs)
    for name, value in means(found.scores).items():
        assert value == pytest.approx(expected_means[f"{checkpoint.name}_{name}"], abs=1e-9), name
    # The library's own network ranks by the same similarity.
    with monkeypatch.context() as patch:
        patch.setattr("pytest_embedbench.models.local.sentence_transformer.plain_network", lambda *_: None)
        other = load(checkpoint)
    assert isinstance(other._network, LibraryNetwork)
    assert other.facts == model.facts


def test_the_similarities_rank_differently_and_a_definition_decides(body: Path) -> None:
    # A folder that transformers alone has saved declares none.
    assert load(body).facts.similarity == "cosine"
    rankings = {}
    for similarity in SIMILARITIES:
        model = load(body, similarity=similarity)
        assert model.facts.similarity == similarity
        run = evaluate(model, dataset(), [Measure("ndcg", 10)]).run
        rankings[similarity] = tuple(tuple(doc for doc, _ in run[query][:10]) for query in run)
    assert len(set(rankings.values())) == 4


@pytest.mark.parametrize(
    ("declared", "expected"),
    [({}, "cosine"), ({"similarity_fn_name": None}, "cosine"), ({"similarity_fn_name": "dot"}, "dot"),
     ({"similarity_fn_name": "maxsim"}, "cosine"),
     ({"similarity_fn_name": "dot", "model_type": "CrossEncoder"}, "cosine")],
)  # fmt: skip
def test_what_a_checkpoint_declares(copy: Path, declared: dict[str, object], expected: Similarity) -> None:
    (copy / SETTINGS).unlink()
    change(copy / SETTINGS, **declared)
    named = NamedModel(alias="model", spec=ModelSpec(path=str(copy)))
    assert KIND.similarity(named, SourceCache()) == expected
    if "model_type" not in declared:
        assert SentenceTransformer(str(copy), device="cpu").similarity_fn_name == expected


def test_an_unknown_similarity_is_an_error_that_a_definition_mends(copy: Path) -> None:
    change(copy / SETTINGS, similarity_fn_name="angular")
    with pytest.raises(ModelError, match=r"config_sentence_transformers.json: similarity_fn_name 'angular' is none of"):
        load(copy)
    assert load(copy, similarity="dot").facts.similarity == "dot"
