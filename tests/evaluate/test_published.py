"""With the same model and data the scores are MTEB's published ones.

NFCorpus only: of the collections at hand it is the one that an MTEB task with published MiniLM values uses unchanged.
(The ``norquad`` folder is not MTEB's NorQuadRetrieval: its corpus differs, so the published values do not apply.)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.evaluate.evaluation import Evaluation, evaluate
from pytest_embedbench.evaluate.metrics import means
from pytest_embedbench.models.local.sentence_transformer import SentenceTransformerModel

pytestmark = pytest.mark.slow

NAMES = (
    "ndcg@5", "ndcg@10", "map@10", "mrr@10", "recall@5", "recall@10", "recall@100", "precision@10",
)  # fmt: skip
JUDGED_QUERIES = 323


@pytest.fixture(scope="module")
def published(shared: Path) -> dict[str, Any]:
    """Return MTEB's row for MiniLM on NFCorpus."""
    rows: list[dict[str, Any]] = json.loads((shared / "reference" / "mteb_published.json").read_text("utf-8"))
    wanted = ("sentence-transformers/all-MiniLM-L6-v2", "NFCorpus", "test")
    (row,) = [row for row in rows if (row["model"], row["task"], row["split"]) == wanted]
    return row


@pytest.fixture(scope="module")
def nfcorpus_evaluation(shared: Path, minilm: SentenceTransformerModel) -> Evaluation:
    spec = DatasetSpec(path=str(shared / "data" / "nfcorpus"))
    dataset = load_dataset(NamedDataset(alias="NFCorpus", spec=spec))
    return evaluate(minilm, dataset, [parse_measure(name) for name in NAMES])


def test_scores_equal_the_published_ones(published: dict[str, Any], nfcorpus_evaluation: Evaluation) -> None:
    """One test for all measures: tests of one evaluation could come to several workers, and each would evaluate anew."""
    scores = means(nfcorpus_evaluation.scores)
    for name in NAMES:
        # MTEB computes its mrr with code of its own, which orders ties otherwise; hence the wider tolerance.
        tolerance = 0.001 if name.startswith("mrr") else 0.0005
        assert len(nfcorpus_evaluation.scores[name]) == JUDGED_QUERIES
        assert scores[name] == pytest.approx(published[parse_measure(name).mteb_name], abs=tolerance), name
    effort = nfcorpus_evaluation.encode
    assert 0 < effort["corpus_own_tokens"] < effort["corpus_tokens"] <= effort["corpus_padded_tokens"]
    assert effort["batch_tokens"] == 4096
    assert nfcorpus_evaluation.depth == 100


def test_the_published_headline_values_are_the_known_ones(published: dict[str, Any]) -> None:
    """Guards the reference file itself: comparing with another row would make the test above meaningless."""
    assert (published["ndcg_at_10"], published["map_at_10"], published["recall_at_10"]) == (
        0.31594,
        0.11048,
        0.15499,
    )
