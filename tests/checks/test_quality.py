"""Thresholds on data that cannot be scored: red, with the file and the fix, before a model is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_embedbench.checks.quality import QualityCheck
from pytest_embedbench.checks.verdict import PairNames
from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.core.thresholds import parse_quality
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.datasets.types import Dataset

HEADER = "query-id\tcorpus-id\tscore\n"
NDCG = parse_measure("ndcg@10")
LIMITED = QualityCheck(measure=NDCG, limit=parse_quality("ndcg@10 >= 0.3"))
PAIR = PairNames("m", "data")


def load(folder: Path) -> Dataset:
    return load_dataset(NamedDataset(alias="data", spec=DatasetSpec(path=str(folder))))


@pytest.mark.parametrize(
    ("qrels", "problem"),
    [
        ({"test": HEADER}, "qrels/test.tsv: no judgments: quality cannot be scored"),
        ({}, "qrels: no judgments: quality cannot be scored"),
        ({"test": f"{HEADER}q1\td1\t0\n"}, "qrels/test.tsv: judgments, but none is above zero"),
        ({"test": f"{HEADER}other\td1\t1\n"}, "qrels/test.tsv: judged queries are not among the queries"),
    ],
    ids=["header-only", "none", "nothing-relevant", "other-queries"],
)
def test_a_threshold_that_cannot_be_scored_fails(
    make_beir: Callable[..., Path], qrels: dict[str, str], problem: str
) -> None:
    folder = make_beir(qrels=qrels)
    verdict = LIMITED.judge_unscored(PAIR, *load(folder).why_unscored())
    assert verdict is not None
    assert (verdict.status, verdict.limit) == ("failed", ">= 0.3")
    start = "data cannot be scored, so that ndcg@10 >= 0.3 cannot be checked: "
    assert verdict.explanation.startswith(f"{start}{folder}/{problem}")
    assert "\n  fix: " in verdict.explanation


def test_files_of_judgments_under_another_name_are_named(make_beir: Callable[..., Path]) -> None:
    folder = make_beir(qrels=None)
    for name in ("qrels/test.txt", "judgments.tsv"):
        (folder / name).write_text(f"{HEADER}q1\td1\t1\n", encoding="utf-8")
    (folder / "notes.txt").write_text("x", encoding="utf-8")
    (aside,) = [finding for finding in load(folder).findings if finding.code == "files-left-aside"]
    assert aside.message.endswith("are not read: judgments.tsv, qrels/test.txt")
    verdict = LIMITED.judge_unscored(PAIR, *load(folder).why_unscored())
    assert verdict is not None
    assert "judgments.tsv, qrels/test.txt" in verdict.explanation
    assert "fix: name judgments qrels/<split>.tsv" in verdict.explanation


def test_a_report_without_a_limit_needs_no_judgments(make_beir: Callable[..., Path]) -> None:
    reason = load(make_beir(qrels=None)).why_unscored()
    assert QualityCheck(measure=NDCG).judge_unscored(PAIR, *reason) is None


def test_scored_data_are_judged_by_their_scores(make_beir: Callable[..., Path]) -> None:
    assert load(make_beir()).why_unscored() == ("", "")
