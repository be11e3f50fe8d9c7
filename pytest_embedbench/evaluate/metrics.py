"""Quality measures by trec_eval's definitions, computed by trec_eval itself through ``pytrec_eval``.

ndcg uses linear gains and the ideal over all judged documents; map divides by all relevant ones (Buckley & Voorhees
2000; trec_eval's ``ndcg_cut``, ``map_cut``, ``recall``, ``P``). mrr@k is trec_eval's ``recip_rank`` of the run cut
at k, so 0 where nothing relevant stands in the first k.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytrec_eval

from pytest_embedbench.datasets.types import Qrels
from pytest_embedbench.evaluate.run import Run
from pytest_embedbench.measures import Measure

TREC_NAMES = {"ndcg": "ndcg_cut", "map": "map_cut", "recall": "recall", "precision": "P"}

Scores = dict[str, dict[str, float]]
"""measure (``ndcg@10``) -> query id -> value."""


def score(run: Run, qrels: Qrels, queries: Sequence[str], measures: Iterable[Measure]) -> Scores:
    """Values per measure and query, for every one of ``queries`` (each must have a positive judgment).

    A query that the run lacks scores 0. Grades of zero and below are not relevant.
    """
    measures = list(measures)
    depth = max((measure.k for measure in measures), default=0)
    grades = {query: {doc: max(grade, 0) for doc, grade in qrels[query].items()} for query in queries}
    by_query = _evaluate(run, grades, {_trec_measure(m) for m in measures if m.family != "mrr"}, depth)
    scores: Scores = {}
    for measure in measures:
        if measure.family == "mrr":
            cut = _evaluate(run, grades, {"recip_rank"}, measure.k)
            scores[str(measure)] = {query: cut.get(query, {}).get("recip_rank", 0.0) for query in queries}
        else:
            key = _trec_measure(measure).replace(".", "_")
            scores[str(measure)] = {query: by_query.get(query, {}).get(key, 0.0) for query in queries}
    return scores


def _trec_measure(measure: Measure) -> str:
    return f"{TREC_NAMES[measure.family]}.{measure.k}"


def _evaluate(run: Run, grades: Qrels, names: set[str], depth: int) -> dict[str, dict[str, float]]:
    if not names or not grades:
        return {}
    cut = {query: dict(run[query][:depth]) for query in run if query in grades}
    results: dict[str, dict[str, float]] = pytrec_eval.RelevanceEvaluator(grades, names).evaluate(cut)
    return results


def means(scores: Scores) -> dict[str, float]:
    """Arithmetic mean of each measure over its queries; a measure without queries is left out."""
    return {name: sum(values.values()) / len(values) for name, values in scores.items() if values}
