"""Tests without a suite file: a marker names models and datasets, fixtures give the measurements.

pytest
pytest --embed-model=minilm,bm25      # the same tests for other models
"""

# ruff: noqa: ANN001, ANN201, PLR2004 - without type hints, as most tests are written
import pytest

pytestmark = pytest.mark.embedbench(models=["minilm"], datasets=["builtin"])


def test_the_answer_is_among_the_first_ten(embed_evaluation):
    assert embed_evaluation["recall@10"] >= 0.85
    assert embed_evaluation["ndcg@10"] >= 0.60


def test_few_queries_find_nothing(embed_evaluation):
    recalls = embed_evaluation.per_query["recall@100"]
    lost = [query for query, recall in recalls.items() if recall == 0]
    assert len(lost) <= len(recalls) / 20, lost


def test_a_question_is_closer_to_its_answer_than_to_its_own_words(embed_model):
    query = embed_model.encode(["Which metal is liquid at room temperature?"], role="query")
    documents = embed_model.encode(["Mercury melts at -39 °C.", "Keep metal parts dry, at room temperature."])
    right, wrong = (query @ documents.T)[0]
    assert right > wrong
