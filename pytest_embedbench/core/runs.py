"""Runs: for each query the documents that a model ranked, in trec_eval's order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter

Ranking = list[tuple[str, float]]
"""Pairs (document id, score), best first."""


class Run:
    """Rankings by query id, in trec_eval's order: descending score, ties by descending document id.

    Metrics depend on how ties are ordered, so the order is fixed here, once, for every model and metric.
    """

    def __init__(self, rankings: Mapping[str, Ranking]) -> None:
        by_score_and_id = itemgetter(1, 0)
        self._rankings = {
            query: sorted(ranking, key=by_score_and_id, reverse=True) for query, ranking in rankings.items()
        }

    @classmethod
    def _from_sorted(cls, rankings: dict[str, Ranking]) -> Run:
        """Return a run of rankings that are already in order, without sorting them again."""
        run = cls({})
        run._rankings = rankings
        return run

    def __getitem__(self, query: str) -> Ranking:
        return self._rankings[query]

    def get(self, query: str, default: Ranking) -> Ranking:
        """Return the query's ranking, or ``default`` if the run does not have the query."""
        return self._rankings.get(query, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rankings)

    def __len__(self) -> int:
        return len(self._rankings)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self._rankings == other._rankings

    # Equality is by value, and lists have no hash.
    __hash__ = None  # type: ignore[assignment]

    def cut(self, depth: int) -> Run:
        """Return a run with the first ``depth`` documents of each query."""
        return self._from_sorted({query: ranking[:depth] for query, ranking in self._rankings.items()})

    def with_last(self, documents: Sequence[str], depth: int) -> Run:
        """Return a run with these documents at the end of each ranking that is not empty, as far as ``depth`` allows.

        Their scores are below all others, and equal, so that their ids decide their order.
        """
        rankings = {}
        for query, ranking in self._rankings.items():
            room = max(0, depth - len(ranking)) if ranking else 0
            # A step that trec_eval's 32 bits keep apart at any size of similarities.
            score = ranking[-1][1] - max(1.0, abs(ranking[-1][1]) / 1000) if ranking else 0.0
            rankings[query] = ranking + [(doc, score) for doc in sorted(documents, reverse=True)[:room]]
        return self._from_sorted(rankings)

    def without_self(self, depth: int) -> Run:
        """Return a run without documents that have their query's own id, cut at ``depth`` documents a query."""
        return self._from_sorted({query: [hit for hit in self[query] if hit[0] != query][:depth] for query in self})
