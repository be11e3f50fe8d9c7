"""Compare two models, head to head: their record, their means, and every query that both answered."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.rating.judgments import Judgment, Preference
from pytest_embedbench.reports.leaderboard.evidence import Rankings
from pytest_embedbench.reports.leaderboard.facts import Hit, ModelPair, PairDataset, QueryRow, Record
from pytest_embedbench.reports.leaderboard.names import pair_pages
from pytest_embedbench.reports.leaderboard.selection import MEASURE, Chosen
from pytest_embedbench.reports.text import collapse

MAX_EXCERPT = 240
"""Characters; the beginning of a text that a page shows."""
_SWAPPED: dict[Preference, Preference] = {"a": "b", "b": "a", "tie": "tie"}


class Lookup(NamedTuple):
    """The sources of a comparison's rows."""

    chosen: Chosen
    rankings: Rankings
    texts: Texts
    judged: Mapping[tuple[str, str], Mapping[str, Sequence[Judgment]]]
    """(model, model) in the board's order -> dataset -> judgments whose ``a`` is the first model."""
    limit: int
    """Maximum rows of one dataset on a page."""


class Texts:
    """The texts of queries and documents, shortened for a page; empty if the dataset is not available."""

    def __init__(self, datasets: Mapping[str, Dataset]) -> None:
        self._queries = {
            (name, query): _excerpt(text)
            for name, dataset in datasets.items()
            for query, text in dataset.query_text.items()
        }
        self._raw = {
            name: dict(zip(dataset.doc_ids, dataset.doc_texts, strict=True)) for name, dataset in datasets.items()
        }
        self._hits: dict[tuple[str, str], Hit] = {}

    def query(self, dataset: str, query: str) -> str:
        return self._queries.get((dataset, query), "")

    def hit(self, dataset: str, doc: str) -> Hit:
        """Return the document with the beginning of its text; the same object each time, since many pages show it."""
        if (dataset, doc) not in self._hits:
            self._hits[dataset, doc] = Hit(doc=doc, text=_excerpt(self._raw.get(dataset, {}).get(doc, "")))
        return self._hits[dataset, doc]


def _excerpt(text: str) -> str:
    line = collapse(text[: 4 * MAX_EXCERPT])  # documents may be long: only their beginning is cleaned up
    return line if len(line) <= MAX_EXCERPT else line[:MAX_EXCERPT].rsplit(" ", 1)[0] + "…"


def group_judgments(
    judgments: Iterable[Judgment], order: Sequence[str]
) -> dict[tuple[str, str], dict[str, list[Judgment]]]:
    """Return judgments by pair of models, then by dataset, with ``a`` and ``b`` swapped where ``order`` says so.

    A judgment that compares a model with itself says nothing and is left out, as in ratings.
    """
    position = {name: number for number, name in enumerate(order)}
    pairs: dict[tuple[str, str], dict[str, list[Judgment]]] = defaultdict(lambda: defaultdict(list))
    for judgment in judgments:
        a, b = judgment.model_a, judgment.model_b
        if position[a] < position[b]:
            pairs[a, b][judgment.dataset].append(judgment)
        elif position[a] > position[b]:
            pairs[b, a][judgment.dataset].append(_swapped(judgment))
    return pairs


def _swapped(judgment: Judgment) -> Judgment:
    # Fields that no page shows, such as trials, are left out.
    return Judgment(
        dataset=judgment.dataset,
        query_id=judgment.query_id,
        model_a=judgment.model_b,
        model_b=judgment.model_a,
        outcome=_SWAPPED[judgment.outcome],
        repeat=judgment.repeat,
        judge=judgment.judge,
        values=judgment.values and (judgment.values[1], judgment.values[0]),
        top_a=judgment.top_b,
        top_b=judgment.top_a,
    )


def count_record(judgments: Iterable[Judgment]) -> Record:
    """Return wins, losses and ties of ``a``. A question asked again counts again, as in ratings."""
    outcomes = [judgment.outcome for judgment in judgments]
    return Record(wins=outcomes.count("a"), losses=outcomes.count("b"), ties=outcomes.count("tie"))


def compare_all(
    order: Sequence[str], pages: Mapping[str, str], datasets: Sequence[str], lookup: Lookup
) -> list[ModelPair]:
    """Return the comparison of every two models, in the board's order; ``pages`` are the models' file names."""
    pairs = list(combinations(order, 2))
    names = pair_pages([(pages[a], pages[b]) for a, b in pairs])
    return [_pair(a, b, page, datasets, lookup) for (a, b), page in zip(pairs, names, strict=True)]


def _pair(a: str, b: str, page: str, datasets: Sequence[str], lookup: Lookup) -> ModelPair:
    lines: list[PairDataset] = []
    rows: list[QueryRow] = []
    for dataset in datasets:
        judgments = lookup.judged.get((a, b), {}).get(dataset, ())
        # Judgments are shown where there are any; otherwise the measured values of each query stand in for them.
        compared = (
            [_judged_row(judgment, lookup) for judgment in judgments]
            if judgments
            else _unjudged_rows(a, b, dataset, lookup)
        )
        values, measure = _means(a, b, dataset, judgments, lookup)
        if not compared and values is None:
            continue
        shown = compared if len(compared) <= lookup.limit else sorted(compared, key=_difference)[: lookup.limit]
        # First documents are looked up only for the rows that are shown.
        rows += shown if judgments else [_with_tops(a, b, row, lookup) for row in shown]
        lines.append(
            PairDataset(
                dataset=dataset,
                record=count_record(judgments),
                values=values,
                measure=measure,
                queries=len({row.query for row in compared}),
                shown=len(shown),
                lines=len(compared),
            )
        )
    # Means of different measures (two judges, or a judge and nDCG@10) have no common mean.
    measures = {line.measure for line in lines if line.values}
    with_values = [line.values for line in lines if line.values] if len(measures) == 1 else []
    return ModelPair(
        a=a,
        b=b,
        page=page,
        record=Record(
            wins=sum(line.record.wins for line in lines),
            losses=sum(line.record.losses for line in lines),
            ties=sum(line.record.ties for line in lines),
        ),
        values=_mean_pair(with_values),
        measure=measures.pop() if len(measures) == 1 else "",
        datasets=tuple(lines),
        rows=tuple(rows),
    )


def _judged_row(judgment: Judgment, lookup: Lookup) -> QueryRow:
    dataset, query, a, b = judgment.dataset, judgment.query_id, judgment.model_a, judgment.model_b
    first_a = judgment.top_a[0] if judgment.top_a else lookup.rankings.tops(a, dataset).get(query)
    first_b = judgment.top_b[0] if judgment.top_b else lookup.rankings.tops(b, dataset).get(query)
    return QueryRow(
        dataset=dataset,
        query=query,
        text=lookup.texts.query(dataset, query),
        outcome=judgment.outcome,
        judge=judgment.judge,
        repeat=bool(judgment.repeat),
        values=judgment.values or _values(a, b, dataset, query, lookup),
        top=(_hit(dataset, first_a, lookup), _hit(dataset, first_b, lookup)),
    )


def _unjudged_rows(a: str, b: str, dataset: str, lookup: Lookup) -> list[QueryRow]:
    """Return the queries that both models answered, in the order of the first model's file."""
    if not _same_data(a, b, dataset, lookup):
        return []
    values_a, values_b = lookup.rankings.values(a, dataset), lookup.rankings.values(b, dataset)
    # Without relevance judgments there are no values, and the queries that were ranked count.
    if values_a or values_b:
        queries = [query for query in values_a if query in values_b]
    else:
        tops_b = lookup.rankings.tops(b, dataset)
        queries = [query for query in lookup.rankings.tops(a, dataset) if query in tops_b]
    return [
        QueryRow(
            dataset=dataset,
            query=query,
            text=lookup.texts.query(dataset, query),
            values=_values(a, b, dataset, query, lookup),
        )
        for query in queries
    ]


def _same_data(a: str, b: str, dataset: str, lookup: Lookup) -> bool:
    results = [lookup.chosen.get(model, {}).get(dataset) for model in (a, b)]
    return all(results) and len({result.details.dataset.fingerprint for result in results if result}) == 1


def _with_tops(a: str, b: str, row: QueryRow, lookup: Lookup) -> QueryRow:
    firsts = (lookup.rankings.tops(model, row.dataset).get(row.query) for model in (a, b))
    hit_a, hit_b = (_hit(row.dataset, first, lookup) for first in firsts)
    return QueryRow(dataset=row.dataset, query=row.query, text=row.text, values=row.values, top=(hit_a, hit_b))


def _hit(dataset: str, doc: str | None, lookup: Lookup) -> Hit | None:
    return lookup.texts.hit(dataset, doc) if doc is not None else None


def _values(a: str, b: str, dataset: str, query: str, lookup: Lookup) -> tuple[float, float] | None:
    value_a, value_b = (lookup.rankings.values(model, dataset).get(query) for model in (a, b))
    return None if value_a is None or value_b is None else (value_a, value_b)


def _difference(row: QueryRow) -> float:
    """Return a sort key that puts the queries whose values differ most first."""
    return -abs(row.values[0] - row.values[1]) if row.values else 0.0


def _means(
    a: str, b: str, dataset: str, judgments: Sequence[Judgment], lookup: Lookup
) -> tuple[tuple[float, float] | None, str]:
    """Return both models' means and the name of their measure.

    If one judge gave values for every query, these are the means of the judge's values; otherwise nDCG@10 as the
    results state it, over all their queries.
    """
    judges = {judgment.judge for judgment in judgments}
    if len(judges) == 1 and all(judgment.values for judgment in judgments):
        # Reversed, so that of a repeated question the first judgment's values stay.
        by_query = {judgment.query_id: judgment.values for judgment in reversed(judgments) if judgment.values}
        return _mean_pair(list(by_query.values())), judges.pop() or "values of the judge"
    if not _same_data(a, b, dataset, lookup):
        return None, ""
    means = [lookup.chosen[model][dataset].details.means.get(MEASURE) for model in (a, b)]
    return (None, "") if means[0] is None or means[1] is None else ((means[0], means[1]), MEASURE)


def _mean_pair(values: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    if not values:
        return None
    return math.fsum(a for a, _ in values) / len(values), math.fsum(b for _, b in values) / len(values)
