"""Judge by relevance judgments: the model with the higher value of a measure answered the query better."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

from pytest_embedbench.core.measures import Measure
from pytest_embedbench.errors import ResultError
from pytest_embedbench.rating.judges.entries import Entry, by_dataset, sample_queries
from pytest_embedbench.rating.judgments import Judgment, Preference

MAX_TOP_IDS = 1
"""Ids that a judgment keeps of each list, the first ones; the others are in the run, which its hash identifies."""


def judge_by_qrels(
    entries: Iterable[Entry],
    *,
    measure: Measure = Measure("ndcg", 10),  # noqa: B008 - a tuple
    margin: float = 0.0,
    queries: int | None = None,
    seed: int = 0,
) -> list[Judgment]:
    """Compare every two models on every query of every dataset that both have; return one judgment for each.

    Models are named by their alias, and ``model_a`` is the first of the two in the order of names. A dataset without
    relevance judgments gives no judgments of models.

    Args:
        entries: stored results, from ``read_entries``.
        measure: the measure whose values per query are compared.
        margin: the largest difference that is a tie.
        queries: maximum queries of each dataset, the same for every pair of models; None for all.
        seed: of the choice of queries.

    Raises:
        ResultError: results cannot be compared (other data under the same name, two models of one name), or one of
            them lacks the measure.
        ValueError: the margin is negative.
    """
    if not margin >= 0:
        raise ValueError(f"margin {margin} is not a number of 0 or more")
    judge = f"qrels {measure} margin {margin:g}"
    judgments = []
    for dataset, group in by_dataset(entries).items():
        judged = [entry for entry in group if entry.scores]
        values = {entry.model: _values(entry, measure) for entry in judged}
        if not values:
            continue
        # Sorted, since a set's order of texts changes from process to process.
        common = sorted(set.intersection(*(set(scored) for scored in values.values())))
        chosen = sample_queries(common, queries, seed, judged[0].dataset.fingerprint)
        for a, b in combinations(judged, 2):
            # A sample is of queries that all models have, so that it is the same for every pair of models.
            both = chosen if queries is not None else sorted(values[a.model].keys() & values[b.model].keys())
            for query in both:
                pair = (values[a.model][query], values[b.model][query])
                judgments.append(
                    Judgment(
                        dataset=dataset,
                        query_id=query,
                        model_a=a.model,
                        model_b=b.model,
                        outcome=_outcome(pair, margin),
                        judge=judge,
                        values=pair,
                        top_a=a.top(query, MAX_TOP_IDS),
                        top_b=b.top(query, MAX_TOP_IDS),
                        run_a=a.run_sha256,
                        run_b=b.run_sha256,
                    )
                )
    return judgments


def _values(entry: Entry, measure: Measure) -> dict[str, float]:
    values = entry.scores.get(str(measure))
    if values is None:
        problem = f"holds no {measure}; it has {', '.join(entry.scores)}"
        fix = f"evaluate with a check that names {measure}, or judge by another measure"
        raise ResultError(problem, where=f"{entry.model} ({entry.where})", fix=fix)
    return values


def _outcome(values: tuple[float, float], margin: float) -> Preference:
    difference = values[0] - values[1]
    if abs(difference) <= margin:
        return "tie"
    return "a" if difference > 0 else "b"
