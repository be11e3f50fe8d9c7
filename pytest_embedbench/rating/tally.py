"""Count judgments: how often each model won against each other one, with any weight for each query."""

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
    """Judgments of ``n`` models on ``queries`` queries, both in the order of their names.

    Sorted, so that nothing computed from a tally depends on the order of the judgments, or on which model was ``a``.
    """

    models: tuple[str, ...]
    queries: int
    _cells: NDArray[np.intp]
    """For each judgment the index to count it at in flattened ``Games``."""
    _clusters: NDArray[np.intp]
    """For each judgment the index of its query."""

    @classmethod
    def from_judgments(cls, judgments: Sequence[Judgment]) -> Tally:
        """Count judgments, each of two different models. A query is identified by its dataset and its id."""
        models = sorted({model for judgment in judgments for model in (judgment.model_a, judgment.model_b)})
        queries = sorted({(judgment.dataset, judgment.query_id) for judgment in judgments})
        position = {model: index for index, model in enumerate(models)}
        cluster = {query: index for index, query in enumerate(queries)}
        count = len(models)
        cells = []
        for judgment in judgments:
            a, b = position[judgment.model_a], position[judgment.model_b]
            if judgment.outcome == "tie":
                # In the second matrix, above the diagonal; ``games`` adds the mirror image.
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
        """Return counts of shape (rounds, 2, n, n), with each query counted ``times[round, query]`` times.

        Without ``times`` there is one round, in which each query counts once.
        """
        count = len(self.models)
        # One flat count for each round: ``bincount`` is far faster than adding judgments to cells one by one.
        weights = [None] if times is None else [row[self._clusters] for row in times]
        flat = [np.bincount(self._cells, weight, minlength=2 * count * count) for weight in weights]
        games = np.stack(flat).astype(np.float64).reshape(-1, 2, count, count)
        games[:, 1] += games[:, 1].swapaxes(1, 2)  # ties were counted above the diagonal only
        return games
