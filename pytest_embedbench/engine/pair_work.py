"""Settings for the work on pairs, and what an evaluated pair is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from pytest_embedbench.checks.evidence import QueryOutcome
from pytest_embedbench.checks.quality import MAX_WORST_QUERIES
from pytest_embedbench.core.measures import Measure
from pytest_embedbench.core.runs import Run
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.encode.cache import MAX_BYTES
from pytest_embedbench.evaluate.metrics import Scores
from pytest_embedbench.results.schema import PairResult


@dataclass(frozen=True)
class WorkSettings:
    """How to work: where models run, what is stored where, how long a profile may take."""

    results: Path
    device: str = ""
    dtype: str = ""
    """Empty: each checkpoint's own on a GPU, fp32 on a CPU; ``auto``: the fastest that passes (``dtype_choice``)."""
    batch_tokens: int | None = None
    reuse: bool = True
    fresh_since: float = math.inf
    """Without ``reuse``: what was stored after this time (Unix, seconds) is of this session, and is used again."""
    cache: Path | None = None
    """The embedding cache's folder; None: none. Without ``reuse``, only vectors made from now on are read from it."""
    cache_bytes: int = MAX_BYTES
    profile_requests: int = 10_000
    profile_seconds: float = 20.0
    energy: bool = False
    """Record the energy that load profiles take."""
    fail_fast: bool = False
    """End a pair's evaluation once one of its quality limits is proven missed."""


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
        return self.result.embedbench.means

    def worst_queries(self, measure: Measure, count: int = MAX_WORST_QUERIES) -> list[QueryOutcome]:
        """The queries with the lowest value of the measure, worst first."""
        values = self.scores.get(str(measure), {})
        outcomes = []
        for query in sorted(values, key=lambda key: (values[key], key))[:count]:
            ranking = self.run.get(query, [])
            relevant = (rank for rank, (doc, _) in enumerate(ranking, 1) if self.dataset.qrels[query].get(doc, 0) > 0)
            first = ranking[0][0] if ranking else ""
            outcomes.append(
                QueryOutcome(query, self.dataset.query_text[query], values[query], first, next(relevant, 0))
            )
        return outcomes
