"""Settings for the work on pairs, and an evaluated pair."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from pytest_embedbench.checks.evidence import QueryOutcome
from pytest_embedbench.checks.quality import MAX_WORST_QUERIES
from pytest_embedbench.core.measures import Measure
from pytest_embedbench.core.runs import Run
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.encode.cache import DEFAULT_MAX_BYTES
from pytest_embedbench.evaluate.metrics import Scores
from pytest_embedbench.results.schema import PairResult


@dataclass(frozen=True)
class WorkSettings:
    """Settings of a workbench: device, folders, how long a profile may take."""

    results: Path
    """Folder of stored results."""
    device: str = ""
    dtype: str = ""
    """Empty: each checkpoint's own on a GPU, fp32 on a CPU; ``auto``: the fastest that passes (``dtype_choice``)."""
    batch_tokens: int | None = None
    """Tokens of a batch; None: remembered, or measured while encoding."""
    reuse: bool = True
    """Whether results stored earlier may be used again."""
    fresh_since: float = math.inf
    """Unix time in seconds; without ``reuse``, only results stored later are used again: they are this session's."""
    cache: Path | None = None
    """Folder of the embedding cache; None: no cache. Without ``reuse`` only this session's vectors are read from it."""
    cache_bytes: int = DEFAULT_MAX_BYTES
    profile_requests: int = 10_000
    """Requests of one side of a load profile, at most."""
    profile_seconds: float = 20.0
    """Seconds for one side of a load profile."""
    energy: bool = False
    """Whether the energy that load profiles take is recorded."""
    fail_fast: bool = False
    """Whether a pair's evaluation ends once one of its quality limits is proven missed."""

    def may_reuse(self, stored_at: float) -> bool:
        """Whether a result stored at this time (Unix, seconds) may be used again."""
        return self.reuse or stored_at >= self.fresh_since


@dataclass(frozen=True)
class PairWork:
    """A pair's evaluation: its stored result, the ranking and the values behind the means."""

    path: Path
    result: PairResult
    run: Run
    scores: Scores
    dataset: Dataset
    reused: bool

    @property
    def means(self) -> dict[str, float]:
        """Mean of each measure over the judged queries."""
        return self.result.embedbench.means

    def worst_queries(self, measure: Measure, count: int = MAX_WORST_QUERIES) -> list[QueryOutcome]:
        """Return the queries with the lowest value of the measure, worst first."""
        values = self.scores.get(str(measure), {})
        outcomes = []
        worst = sorted(values, key=lambda key: (values[key], key))[:count]
        shown = self.dataset.shown([ranking[0][0] for query in worst if (ranking := self.run.get(query, []))])
        for query in worst:
            ranking = self.run.get(query, [])
            relevant = (rank for rank, (doc, _) in enumerate(ranking, 1) if self.dataset.qrels[query].get(doc, 0) > 0)
            first = shown[ranking[0][0]] if ranking else ""
            outcomes.append(
                QueryOutcome(query, self.dataset.query_text[query], values[query], first, next(relevant, 0))
            )
        return outcomes
