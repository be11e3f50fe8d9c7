"""Distribute items over xdist's workers: a model on a dataset stays together, everything else is spread."""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

from pytest_embedbench.checks.registry import CHECKS

LAST = "::[needs all pairs]"
"""End of the scope that comes last."""

MODEL_STEPS = 2
"""Separators in the id of an item that is about a model; those about a pair have one more."""

SUITE_KINDS = frozenset(check.kind for check in CHECKS if check.needs_all_pairs)


class PairScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Items of one pair form a scope (``file::model::dataset``), so that one worker encodes it, once.

    Checks that need all pairs of a suite, such as regression, are one more scope, which comes last: until then the
    other workers have evaluated most pairs, and what is stored is used again. A model's conformance items go with its
    first pair. Only node ids are known here, so the kind is read from them.
    """

    def _split_scope(self, nodeid: str) -> str:
        file, *rest = nodeid.split("::")
        if not file.endswith(".toml"):
            return nodeid
        kind = rest[-1].partition("[")[0]
        if kind == "conformance":
            return self._first_pair(file, rest[0])
        return f"{file}{LAST}" if kind in SUITE_KINDS else "::".join([file, *rest[:2]])

    def _first_pair(self, file: str, model: str) -> str:
        """Return the scope of the model's first pair, whose worker has it loaded; the model's own if it has no pair."""
        start = f"{file}::{model}::"
        pairs = (
            other for other in self.collection or () if other.startswith(start) and other.count("::") > MODEL_STEPS
        )
        return "::".join(next(pairs, start).split("::")[:3])

    def _assign_work_unit(self, node: Any) -> None:
        # xdist sorts scopes by their number of items, so that this one may have come first.
        for scope in [scope for scope in self.workqueue if scope.endswith(LAST)]:
            self.workqueue.move_to_end(scope)
        super()._assign_work_unit(node)
