"""Distribute items over xdist's workers: items of a model on a dataset stay together, all others are spread."""

from __future__ import annotations

from pytest_embedbench.checks.registry import CHECKS
from pytest_embedbench.session.xdist_compat import ScopeScheduling

ALL_PAIRS = "::[needs all pairs]"
"""End of the name of a suite's last scope; no node id ends like this."""

MODEL_SEPARATORS = 2
"""Number of ``::`` in the node id of an item of a model; items of a pair have one more."""

ALL_PAIRS_KINDS = frozenset(check.kind for check in CHECKS if check.needs_all_pairs)


class PairScheduling(ScopeScheduling):
    """Distribution in which the items of one pair form a scope, so that one worker evaluates the pair, once.

    Checks that need all pairs of a suite, such as regression, form one more scope, which comes last: until then the
    other workers have evaluated most pairs, and their stored results are reused. A model's conformance items go with
    its first pair. Only node ids are known here, so the kind of an item is read from its id.
    """

    def scope(self, node_id: str) -> str:
        """Return ``file::model::dataset`` for items of a pair; a test in Python is a scope of its own."""
        file, *names = node_id.split("::")
        if not file.endswith(".toml"):
            return node_id
        kind = names[-1].partition("[")[0]
        if kind == "conformance":
            return self._first_pair(file, names[0])
        return f"{file}{ALL_PAIRS}" if kind in ALL_PAIRS_KINDS else "::".join([file, *names[:2]])

    def comes_last(self, scope: str) -> bool:
        """Whether the scope needs all pairs; it may be large, and xdist starts large scopes first."""
        return scope.endswith(ALL_PAIRS)

    def _first_pair(self, file: str, model: str) -> str:
        """Return the scope of the model's first pair, whose worker has it loaded; the model's own if it has no pair."""
        start = f"{file}::{model}::"
        pairs = (
            node_id for node_id in self.node_ids if node_id.startswith(start) and node_id.count("::") > MODEL_SEPARATORS
        )
        return "::".join(next(pairs, start).split("::")[:3])
