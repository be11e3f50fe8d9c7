"""Two models, head to head: their record, their means, and every query that both answered."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.rating.judgments import Judgment, Outcome
from pytest_embedbench.reports.leaderboard.facts import Hit, Pair, PairDataset, QueryRow, Record
from pytest_embedbench.reports.leaderboard.names import pair_pages
from pytest_embedbench.reports.leaderboard.sources import MEASURE, Chosen, Rankings
from pytest_embedbench.reports.text import collapse

EXCERPT = 240
"""Characters of a document that a page shows."""
_OTHER: dict[Outcome, Outcome] = {"a": "b", "b": "a", "tie": "tie"}


class Lookup(NamedTuple):
    """Where a comparison's rows come from."""

    chosen: Chosen
    rankings: Rankings
    texts: Texts
    judged: Mapping[tuple[str, str], Mapping[str, Sequence[Judgment]]]
    """(model, model) in the board's order -> dataset -> judgments, turned so that ``a`` is the first."""
    limit: int
    """Rows that a dataset may have on a page."""


class Texts:
    """The words of queries and documents, shortened for a page; empty where a collection is not at hand."""

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
        """The document with its beginning; the same object each time, since many pages show it."""
        if (dataset, doc) not in self._hits:
            self._hits[dataset, doc] = Hit(doc=doc, text=_excerpt(self._raw.get(dataset, {}).get(doc, "")))
        return self._hits[dataset, doc]


def _excerpt(text: str) -> str:
    line = collapse(text[: 4 * EXCERPT])
    return line if len(line) <= EXCERPT else line[:EXCERPT].rsplit(" ", 1)[0] + "…"


def turn(judgments: Iterable[Judgment], order: Sequence[str]) -> dict[tuple[str, str], dict[str, list[Judgment]]]:
    """Judgments by pair, then by dataset; each is turned so that its ``a`` stands first in ``order``.

    A model that is compared with itself says nothing and is left out, as in ratings.
    """
    place = {name: number for number, name in enumerate(order)}
    pairs: dict[tuple[str, str], dict[str, list[Judgment]]] = defaultdict(lambda: defaultdict(list))
    for one in judgments:
        if place[one.model_a] < place[one.model_b]:
            pairs[one.model_a, one.model_b][one.dataset].append(one)
        elif place[one.model_a] > place[one.model_b]:
            pairs[one.model_b, one.model_a][one.dataset].append(_turned(one))
    return pairs


def _turned(one: Judgment) -> Judgment:
    return Judgment(
        dataset=one.dataset,
        query_id=one.query_id,
        model_a=one.model_b,
        model_b=one.model_a,
        outcome=_OTHER[one.outcome],
        repeat=one.repeat,
        judge=one.judge,
        values=one.values and (one.values[1], one.values[0]),
        top_a=one.top_b,
        top_b=one.top_a,
    )


def record_of(judgments: Iterable[Judgment]) -> Record:
    """Wins, losses and ties of ``a``. A question asked again counts again, as in ratings."""
    outcomes = [one.outcome for one in judgments]
    return Record(wins=outcomes.count("a"), losses=outcomes.count("b"), ties=outcomes.count("tie"))


def compare_all(order: Sequence[str], pages: Mapping[str, str], datasets: Sequence[str], look: Lookup) -> list[Pair]:
    """Every pair of models, in the board's order; ``pages`` are the models' file names."""
    pairs = list(combinations(order, 2))
    names = pair_pages([(pages[a], pages[b]) for a, b in pairs])
    return [_pair(a, b, page, datasets, look) for (a, b), page in zip(pairs, names, strict=True)]


def _pair(a: str, b: str, page: str, datasets: Sequence[str], look: Lookup) -> Pair:
    lines: list[PairDataset] = []
    rows: list[QueryRow] = []
    for dataset in datasets:
        judgments = look.judged.get((a, b), {}).get(dataset, ())
        compared = [_judged_row(one, look) for one in judgments] if judgments else _unjudged_rows(a, b, dataset, look)
        values, measure = _means(a, b, dataset, judgments, look)
        if not compared and values is None:
            continue
        shown = compared if len(compared) <= look.limit else sorted(compared, key=_difference)[: look.limit]
        rows += shown if judgments else [_with_tops(a, b, row, look) for row in shown]
        lines.append(
            PairDataset(
                dataset=dataset,
                record=record_of(judgments),
                values=values,
                measure=measure,
                queries=len({row.query for row in compared}),
                shown=len(shown),
                lines=len(compared),
            )
        )
    measures = {line.measure for line in lines if line.values}
    with_values = [line.values for line in lines if line.values] if len(measures) == 1 else []
    return Pair(
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


def _judged_row(one: Judgment, look: Lookup) -> QueryRow:
    first_a = one.top_a[0] if one.top_a else look.rankings.tops(one.model_a, one.dataset).get(one.query_id)
    first_b = one.top_b[0] if one.top_b else look.rankings.tops(one.model_b, one.dataset).get(one.query_id)
    return QueryRow(
        dataset=one.dataset,
        query=one.query_id,
        text=look.texts.query(one.dataset, one.query_id),
        outcome=one.outcome,
        judge=one.judge,
        repeat=bool(one.repeat),
        values=one.values or _values(one.model_a, one.model_b, one.dataset, one.query_id, look),
        top=(_hit(one.dataset, first_a, look), _hit(one.dataset, first_b, look)),
    )


def _unjudged_rows(a: str, b: str, dataset: str, look: Lookup) -> list[QueryRow]:
    """Queries that both models answered, in the order of the first one's file."""
    if not _same_data(a, b, dataset, look):
        return []
    values_a, values_b = look.rankings.values(a, dataset), look.rankings.values(b, dataset)
    if values_a or values_b:
        queries = [query for query in values_a if query in values_b]
    else:
        tops_b = look.rankings.tops(b, dataset)
        queries = [query for query in look.rankings.tops(a, dataset) if query in tops_b]
    return [
        QueryRow(
            dataset=dataset,
            query=query,
            text=look.texts.query(dataset, query),
            values=_values(a, b, dataset, query, look),
        )
        for query in queries
    ]


def _same_data(a: str, b: str, dataset: str, look: Lookup) -> bool:
    found = [look.chosen.get(model, {}).get(dataset) for model in (a, b)]
    return len({one.details.dataset.fingerprint for one in found if one}) == 1 and all(found)


def _with_tops(a: str, b: str, row: QueryRow, look: Lookup) -> QueryRow:
    firsts = (look.rankings.tops(model, row.dataset).get(row.query) for model in (a, b))
    hit_a, hit_b = (_hit(row.dataset, first, look) for first in firsts)
    return QueryRow(dataset=row.dataset, query=row.query, text=row.text, values=row.values, top=(hit_a, hit_b))


def _hit(dataset: str, doc: str | None, look: Lookup) -> Hit | None:
    return look.texts.hit(dataset, doc) if doc is not None else None


def _values(a: str, b: str, dataset: str, query: str, look: Lookup) -> tuple[float, float] | None:
    value_a, value_b = (look.rankings.values(model, dataset).get(query) for model in (a, b))
    return None if value_a is None or value_b is None else (value_a, value_b)


def _difference(row: QueryRow) -> float:
    """Sorts the queries that differ most to the front."""
    return -abs(row.values[0] - row.values[1]) if row.values else 0.0


def _means(
    a: str, b: str, dataset: str, judgments: Sequence[Judgment], look: Lookup
) -> tuple[tuple[float, float] | None, str]:
    """Both means and what they are means of.

    That is what the judge compared, where one judge gave values for every query; else nDCG@10 as the results state
    it, over all their queries.
    """
    judges = {one.judge for one in judgments}
    if len(judges) == 1 and all(one.values for one in judgments):
        by_query = {one.query_id: one.values for one in reversed(judgments) if one.values}
        return _mean_pair(list(by_query.values())), judges.pop() or "values of the judge"
    if not _same_data(a, b, dataset, look):
        return None, ""
    means = [look.chosen[model][dataset].details.means.get(MEASURE) for model in (a, b)]
    return (None, "") if means[0] is None or means[1] is None else ((means[0], means[1]), MEASURE)


def _mean_pair(values: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    if not values:
        return None
    return math.fsum(a for a, _ in values) / len(values), math.fsum(b for _, b in values) / len(values)
