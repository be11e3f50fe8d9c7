"""What stands beside a result: per-query scores and runs, each read once and only if a page needs it."""

from __future__ import annotations

from functools import cache

import msgspec

from pytest_embedbench.errors import ResultError
from pytest_embedbench.leaderboard.sources import Chosen
from pytest_embedbench.results.store import Store, parse_per_query

MEASURE = "ndcg@10"


class Rankings:
    """Per-query nDCG@10 and first documents of every model and dataset; empty where a file is missing."""

    def __init__(self, chosen: Chosen) -> None:
        self._chosen = chosen
        self.values = cache(self._values)
        self.tops = cache(self._tops)

    def _values(self, model: str, dataset: str) -> dict[str, float]:
        """Query id -> nDCG@10.

        Raises:
            ResultError: the file is there and is not what it should be.
        """
        measured = self._chosen.get(model, {}).get(dataset)
        if measured is None or not (name := measured.details.evidence.per_query):
            return {}
        path = measured.path.parent / name
        try:
            return parse_per_query(path.read_text(encoding="utf-8")).get(MEASURE, {})
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, msgspec.MsgspecError) as error:
            raise ResultError(f"{path}: no per-query scores: {error}\n  fix: run the evaluation again") from None

    def _tops(self, model: str, dataset: str) -> dict[str, str]:
        """Query id -> id of the document ranked first."""
        measured = self._chosen.get(model, {}).get(dataset)
        run = Store(measured.path.parent).load_run(measured.path, measured.result) if measured else None
        return {query: run[query][0][0] for query in run if run[query]} if run is not None else {}
