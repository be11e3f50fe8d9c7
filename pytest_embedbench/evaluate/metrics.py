"""Quality measures by trec_eval's definitions, computed by trec_eval itself through ``pytrec_eval``.

ndcg uses linear gains and the ideal over all judged documents; map divides by all relevant ones (Buckley & Voorhees
2000; trec_eval's ``ndcg_cut``, ``map_cut``, ``recall``, ``P``). mrr@k is trec_eval's ``recip_rank`` of the run cut
at k, so 0 where nothing relevant stands in the first k.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ctypes import c_float

import pytrec_eval

from pytest_embedbench.core.measures import Measure
from pytest_embedbench.core.runs import Ranking, Run
from pytest_embedbench.datasets.types import Qrels

TREC_NAMES = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P"}
RECIPROCAL_RANK = "recip_rank"

Scores = dict[str, dict[str, float]]
"""Values by measure (``ndcg@10``) and query id."""


def score(run: Run, qrels: Qrels, queries: Sequence[str], measures: Iterable[Measure]) -> Scores:
    """Return values per measure and query, for every one of ``queries`` (each must have a positive judgment).

    A query that the run lacks scores 0. Grades of zero and below are not relevant.
    """
    measures = list(measures)
    scores: Scores = {str(measure): {} for measure in measures}
    if not measures or not queries:
        return scores
    depth = max(measure.k for measure in measures)
    grades = {query: {doc: max(grade, 0) for doc, grade in qrels[query].items()} for query in queries}
    evaluator = pytrec_eval.RelevanceEvaluator(grades, {_trec_measure(measure) for measure in measures})
    # One ranking at a time: a dict of 10,000 rankings of 1,000 documents would take 0.7 GB.
    for query in queries:
        ranking = run.get(query, [])[:depth]
        values = _evaluate(evaluator, query, ranking)
        for measure in measures:
            if measure.family == "mrr":
                # trec_eval orders a tie by id. If the tie goes on below rank k, documents from there could move into
                # the first k, so the ranking is cut before it is evaluated.
                cut = _evaluate(evaluator, query, ranking[: measure.k]) if _tied_at(ranking, measure.k) else values
                value = _within(cut[RECIPROCAL_RANK], measure.k)
            else:
                # pytrec_eval is asked for ndcg_cut.10 and answers ndcg_cut_10.
                value = values[_trec_measure(measure).replace(".", "_")]
            scores[str(measure)][query] = value
    return scores


def _trec_measure(measure: Measure) -> str:
    return RECIPROCAL_RANK if measure.family == "mrr" else f"{TREC_NAMES[measure.family]}.{measure.k}"


def _evaluate(evaluator: pytrec_eval.RelevanceEvaluator, query: str, ranking: Ranking) -> dict[str, float]:
    values: dict[str, float] = evaluator.evaluate({query: dict(ranking)})[query]
    return values


def _tied_at(ranking: Ranking, k: int) -> bool:
    """Whether trec_eval takes the documents at ranks k and k+1 for tied; it keeps scores in 32 bits."""
    return len(ranking) > k and c_float(ranking[k - 1][1]).value == c_float(ranking[k][1]).value


def _within(reciprocal_rank: float, k: int) -> float:
    """Return the reciprocal rank, 0 for a rank beyond k. Ranks are compared, since 1/rank and 1/k are rounded."""
    return reciprocal_rank if reciprocal_rank and round(1 / reciprocal_rank) <= k else 0.0


def means(scores: Scores) -> dict[str, float]:
    """Return the mean of each measure over its queries; a measure without queries is left out."""
    return {name: sum(values.values()) / len(values) for name, values in scores.items() if values}
