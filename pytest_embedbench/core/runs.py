"""A run: for each query the documents a model ranked, in trec_eval's order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter

Ranking = list[tuple[str, float]]
"""(document id, score), best first."""


class Run:
    """Rankings by query id. Order is trec_eval's: score descending, ties by descending document id."""

    def __init__(self, rankings: Mapping[str, Ranking]) -> None:
        by_score_and_id = itemgetter(1, 0)
        self._rankings = {
            query: sorted(ranking, key=by_score_and_id, reverse=True) for query, ranking in rankings.items()
        }

    @classmethod
    def _in_order(cls, rankings: dict[str, Ranking]) -> Run:
        """A run of rankings that are in order already."""
        run = cls({})
        run._rankings = rankings
        return run

    def __getitem__(self, query: str) -> Ranking:
        return self._rankings[query]

    def get(self, query: str, default: Ranking) -> Ranking:
        """The query's ranking, or ``default`` where the run lacks it."""
        return self._rankings.get(query, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rankings)

    def __len__(self) -> int:
        return len(self._rankings)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self._rankings == other._rankings

    __hash__ = None  # type: ignore[assignment]

    def cut(self, depth: int) -> Run:
        """The first ``depth`` documents of each query."""
        return self._in_order({query: ranking[:depth] for query, ranking in self._rankings.items()})

    def without_self(self, depth: int) -> Run:
        """Drop a document that has its query's own id, then keep ``depth`` of each query."""
        return self._in_order({query: [hit for hit in self[query] if hit[0] != query][:depth] for query in self})
