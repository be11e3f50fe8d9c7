"""evaluate_model: a function or a model in memory gets the scores that a suite would give it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_embedbench.api import evaluate_model
from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.errors import ConfigurationError, ModelError
from pytest_embedbench.evaluate.evaluation import evaluate
from pytest_embedbench.evaluate.metrics import means

if TYPE_CHECKING:
    from pytest_embedbench.datasets.types import Role
    from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel
    from tests.conftest import MakeBeir

WORDS = ["first", "second", "third"]
DOCS = [{"_id": word, "text": f"the {word}"} for word in WORDS]
QUERIES = [{"_id": f"q{word}", "text": f"{word} one"} for word in WORDS]
SIGN = {"query": -1, "document": 1}
QRELS = "query-id\tcorpus-id\tscore\n" + "".join(f"q{word}\t{word}\t1\n" for word in WORDS)


def bag(texts: Sequence[str], role: Role) -> list[list[float]]:
    """Count the words; queries know no third one."""
    return [
        [float(text.count(word)) for word in WORDS[: 2 if role == "query" else 3]] + [0.0] * (role == "query")
        for text in texts
    ]


def test_a_function_is_scored(make_beir: MakeBeir) -> None:
    folder = make_beir(docs=DOCS, queries=QUERIES, qrels=QRELS)
    scores = evaluate_model(bag, folder, metrics=["recall@1", "ndcg@10"])
    # For the third query all documents tie at 0, and trec_eval puts the highest id first: "third".
    assert scores.per_query["recall@1"] == {"qfirst": 1.0, "qsecond": 1.0, "qthird": 1.0}
    worse = evaluate_model(lambda texts, role: SIGN[role] * np.array(bag(texts, role)), folder, metrics=["recall@1"])
    assert worse.means == {"recall@1": pytest.approx(1 / 3)}
    assert worse.per_query["recall@1"] == {"qfirst": 0.0, "qsecond": 0.0, "qthird": 1.0}


def test_a_model_in_memory_scores_as_in_a_suite(
    minilm: SentenceTransformerModel, minilm_folder: Path, make_beir: MakeBeir
) -> None:
    from sentence_transformers import SentenceTransformer

    folder = make_beir(docs=DOCS, queries=QUERIES, qrels=QRELS)
    model: Any = SentenceTransformer(str(minilm_folder), device="cpu")
    model.train()
    try:
        scores = evaluate_model(model, folder)
        assert model.training
    finally:
        model.eval()
    dataset = load_dataset(NamedDataset(alias="data", spec=DatasetSpec(path=str(folder))))
    assert scores.means == means(evaluate(minilm, dataset, [parse_measure("ndcg@10")]).scores)


def test_a_function_is_ranked_by_cosine_or_as_asked(make_beir: MakeBeir) -> None:
    folder = make_beir(docs=DOCS, queries=QUERIES, qrels=QRELS)

    def longer(texts: Sequence[str], role: Role) -> np.ndarray:
        """Word counts; the document of the first word is long enough to win every inner product."""
        counts = np.array(bag(texts, "document"), dtype=float) + 0.1
        return counts * [[50.0 if text == "the first" else 1.0] for text in texts]

    assert evaluate_model(longer, folder, metrics=["recall@1"]).means == {"recall@1": 1.0}
    by_dot = evaluate_model(longer, folder, metrics=["recall@1"], similarity="dot")
    assert by_dot.means == {"recall@1": pytest.approx(1 / 3)}
    with pytest.raises(
        ConfigurationError, match=r"^similarity: unknown similarity 'cos'\n  fix: did you mean 'cosine'"
    ):
        evaluate_model(longer, folder, similarity="cos")  # type: ignore[arg-type]


def test_the_dataset_may_be_a_name_and_paths_are_relative(make_beir: MakeBeir, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_beir("mine", docs=DOCS, queries=QUERIES, qrels=QRELS)
    monkeypatch.chdir(folder.parent)
    assert evaluate_model(bag, "mine@test").means == evaluate_model(bag, folder).means

    def meaningless(texts: Sequence[str], role: Role) -> list[np.ndarray]:
        return [np.random.default_rng(list(f"{role} {text}".encode())).normal(size=8) for text in texts]

    random = evaluate_model(meaningless, metrics=["ndcg@10"])
    assert 0 <= random.means["ndcg@10"] < 0.2


def test_bad_input_is_a_clear_error(make_beir: MakeBeir) -> None:
    with pytest.raises(ConfigurationError, match=r"^dataset: unknown dataset 'bultin'; did you mean 'builtin'"):
        evaluate_model(bag, "bultin")
    with pytest.raises(ConfigurationError, match=r"^metrics: unknown metric 'ndgc'\n  fix: did you mean 'ndcg'"):
        evaluate_model(bag, metrics=["ndgc@10"])
    with pytest.raises(ModelError, match="the model gave 1 vectors for 3 texts"):
        evaluate_model(lambda texts, role: [[1.0]], make_beir(docs=DOCS, queries=QUERIES, qrels=QRELS))
