"""Judgments as numbers: who won against whom, and how often, for any weight of each query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_embedbench.rating.judgments import Judgment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Games = NDArray[np.float64]
    """Shape (..., 2, n, n). ``[0]``: row's wins over column; ``[1]``: ties, symmetric."""


@dataclass(frozen=True)
class Tally:
    """Judgments of ``n`` models on ``queries`` queries; of both the order is that of their names.

    So nothing that is computed from a tally depends on the order of the judgments, or on which model was ``a``.
    """

    models: tuple[str, ...]
    queries: int
    _cells: NDArray[np.intp]
    """For each judgment the place to count it at, in ``Games`` laid flat."""
    _clusters: NDArray[np.intp]
    """For each judgment the index of its query."""

    @classmethod
    def of(cls, judgments: Sequence[Judgment]) -> Tally:
        """Count judgments; none may compare a model with itself. A query is its dataset and its id."""
        models = sorted({model for judgment in judgments for model in (judgment.model_a, judgment.model_b)})
        queries = sorted({(judgment.dataset, judgment.query_id) for judgment in judgments})
        place = {model: index for index, model in enumerate(models)}
        cluster = {query: index for index, query in enumerate(queries)}
        count = len(models)
        cells = []
        for judgment in judgments:
            a, b = place[judgment.model_a], place[judgment.model_b]
            if judgment.outcome == "tie":
                cells.append(count * count + min(a, b) * count + max(a, b))
            else:
                cells.append(a * count + b if judgment.outcome == "a" else b * count + a)
        return cls(
            models=tuple(models),
            queries=len(queries),
            _cells=np.array(cells, dtype=np.intp),
            _clusters=np.array([cluster[j.dataset, j.query_id] for j in judgments], dtype=np.intp),
        )

    def games(self, times: NDArray[np.intp] | None = None) -> Games:
        """Counts of shape (rounds, 2, n, n), with each query ``times[round, query]`` times.

        Without ``times`` there is one round, with each query once.
        """
        count = len(self.models)
        weights = [None] if times is None else [row[self._clusters] for row in times]
        flat = [np.bincount(self._cells, weight, minlength=2 * count * count) for weight in weights]
        games = np.stack(flat).astype(np.float64).reshape(-1, 2, count, count)
        games[:, 1] += games[:, 1].swapaxes(1, 2)
        return games
