"""Signs that are no proof: zeros, full marks, counts, published values."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pytest_embedbench.catalog import datasets, models, published
from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.plausibility.check import check_row
from pytest_embedbench.plausibility.rows import ReportedRow, ReportedValue
from tests.plausibility.conftest import MakeRow

QWEN = "Qwen/Qwen3-Embedding-4B"


def test_zeros_that_mean_not_available_are_one_warning(make_row: MakeRow) -> None:
    scores = {"ndcg@10": "0.4103", "map@10": "0.1578", "mrr@10": "0.0000", "recall@10": "0.0000", "precision@1": "0"}
    (found,) = check_row(make_row(scores, "binary"))
    assert (found.level, found.rule) == ("warning", "zero")
    assert found.message.startswith("mrr@10, recall@10 0 beside ndcg@10 0.4103: ")


@pytest.mark.parametrize(
    "scores",
    [
        {"ndcg@10": "0.0000", "map@10": "0.0000", "mrr@10": "0.0000"},  # nothing found
        {"precision@1": "0.0000", "mrr@10": "0.3000", "ndcg@10": "0.2500"},  # nothing at rank 1
        {"map@10": "0.0000", "mrr@10": "0.0010"},  # rounded to 0
    ],
)
def test_zeros_that_can_be_true(scores: dict[str, str], make_row: MakeRow) -> None:
    assert not list(check_row(make_row(scores, "graded")))


def test_full_marks_with_low_recall(make_row: MakeRow) -> None:
    (found,) = check_row(make_row({"ndcg@5": "1.000", "ndcg@10": "1.000", "recall@10": "0.224"}))
    assert (found.level, found.rule) == ("warning", "full-marks")
    assert "which share of the corpus is judged relevant" in found.message
    assert not list(check_row(make_row({"ndcg@10": "0.999", "recall@10": "0.224"})))
    assert not list(check_row(make_row({"ndcg@10": "1.000", "recall@10": "0.950"})))


def sized(row: ReportedRow, documents: int, queries: int | None = None, split: str = "") -> ReportedRow:
    counted = None if queries is None else ReportedValue(queries)
    return replace(row, documents=ReportedValue(documents), queries=counted, split=split)


@pytest.mark.parametrize(
    ("dataset", "documents", "queries", "rules"),
    [
        ("NFCorpus", 3633, 323, []),
        ("nfcorpus", 3593, None, []),  # distinct texts
        ("FiQA2018", 57599, 648, []),
        ("NFCorpus", 3600, None, ["corpus count 3,600"]),
        ("NFCorpus", 3633, 50, ["query count 50"]),
        ("mine", 12, 3, []),
    ],
)
def test_counts(dataset: str, documents: int, queries: int | None, rules: list[str], make_row: MakeRow) -> None:
    found = list(check_row(sized(make_row({}, dataset=dataset), documents, queries)))
    assert [finding.message.split(" is not")[0] for finding in found] == rules
    assert all(finding.level == "warning" for finding in found)


def test_queries_of_another_split_are_not_compared(make_row: MakeRow) -> None:
    row = make_row({}, dataset="NFCorpus")
    assert not list(check_row(sized(row, 3633, 324, split="dev")))
    assert len(list(check_row(sized(row, 3633, 324, split="test")))) == 1


def test_a_count_in_thousands_is_taken_as_printed(make_row: MakeRow) -> None:
    assert not list(check_row(replace(make_row({}, dataset="FiQA2018"), documents=ReportedValue(57600, 50))))


def test_values_that_differ_from_published_ones_are_shown_with_them(make_row: MakeRow) -> None:
    row = make_row({"ndcg@10": "0.3000", "recall@10": "0.2000", "mrr@10": "0.6220"}, dataset="NFCorpus", model=QWEN)
    (found,) = check_row(row)
    assert (found.level, found.rule) == ("warning", "published")
    assert "ndcg@10 0.3 (published 0.411); source: MTEB results" in found.message
    assert found.values == {"ndcg@10": 0.3, "published ndcg@10": 0.411}


@pytest.mark.parametrize(
    "changed", [{"model": "org/other"}, {"dataset": "mine"}, {"split": "dev"}], ids=["model", "dataset", "split"]
)
def test_only_the_same_model_dataset_and_split_compare(changed: dict[str, str], make_row: MakeRow) -> None:
    row = make_row({"ndcg@10": "0.3000"}, dataset="NFCorpus", model=QWEN)
    assert not list(check_row(replace(row, **changed)))


def test_close_values_agree(make_row: MakeRow) -> None:
    scores = {"ndcg@10": "0.4103", "map@10": "0.1578", "mrr@10": "0.6207"}
    assert not list(check_row(make_row(scores, dataset="NFCorpus", model=QWEN.upper())))


def test_the_published_table_is_sound() -> None:
    """Known datasets and sources everywhere, measures that parse, and no finding about the table's own rows."""
    names = {name.casefold() for name in datasets()}
    assert {name.casefold() for name in published.sizes()} <= names
    known = {QWEN, *(spec.name for spec in models().values())}
    for entry in published.scores():
        assert entry.model in known
        assert entry.dataset in published.sizes()
        assert entry.source
        scores = {parse_measure(name): ReportedValue(value, 5e-6) for name, value in entry.values.items()}
        row = ReportedRow(dataset=entry.dataset, model=entry.model, split=entry.split, scores=scores)
        assert not list(check_row(row))
