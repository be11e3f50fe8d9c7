"""Distribute items over xdist's workers: a model on a dataset stays together, everything else is spread."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

LAST = "::regression[]"
SHALLOW = 2
"""Steps in the id of an item that is about a model; those about a pair have one more."""


class PairScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Items of one pair form a scope (``file::model::dataset``), so that one worker encodes it, once.

    Regression items of a suite need all of its pairs. They are one more scope, which comes last: until then the other
    workers have evaluated most pairs, and what is stored is used again. A model's conformance items go with its first
    pair.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, *rest = nodeid.split("::")
        if file.endswith(".toml") and rest[-1].startswith("conformance["):
            return self._first_pair(file, rest[0])
        if file.endswith(".toml") and rest[-1].startswith("regression["):
            return f"{file}{LAST}"
        return "::".join([file, *rest[:2]]) if file.endswith(".toml") else nodeid

    def _first_pair(self, file: str, model: str) -> str:
        """The scope of the model's first pair, whose worker has it loaded; the model's own where it has no pair."""
        start = f"{file}::{model}::"
        pairs = (other for other in self.collection or () if other.startswith(start) and other.count("::") > SHALLOW)
        return "::".join(next(pairs, start).split("::")[:3])

    def _assign_work_unit(self, node: Any) -> None:
        # xdist has put scopes with many items first.
        for scope in [scope for scope in self.workqueue if scope.endswith(LAST)]:
            self.workqueue.move_to_end(scope)
        super()._assign_work_unit(node)
