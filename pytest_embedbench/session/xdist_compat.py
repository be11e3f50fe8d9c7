"""Private parts of pytest-xdist. No other module uses them.

``tests/session/test_xdist_compat.py`` fails when one is gone. Until then each has a fallback: all items still run, but
those of one pair may be spread over several workers, or the scopes that should come last may come earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xdist.scheduler import LoadScopeScheduling


class ScopeScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """xdist's distribution by scopes: items of one scope run on one worker, in their order."""

    def scope(self, node_id: str) -> str:
        """Return the scope of an item."""
        raise NotImplementedError

    def comes_last(self, scope: str) -> bool:
        """Whether a scope is started only after all others."""
        raise NotImplementedError

    @property
    def node_ids(self) -> Sequence[str]:
        """Node ids of all items; empty before the workers have collected them."""
        return getattr(self, "collection", None) or ()

    # The methods below override xdist's. A release that does not call them gets its own scopes in its own order.

    def _split_scope(self, nodeid: str) -> str:
        return self.scope(nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        """Give a worker the first scope in the queue, which xdist has sorted by the number of items."""
        # Here, because xdist fills the queue, sorts it and makes the first assignments all in one method.
        queue: Any = getattr(self, "workqueue", None)
        if hasattr(queue, "move_to_end"):  # an OrderedDict, by scope
            for scope in [scope for scope in queue if self.comes_last(scope)]:
                queue.move_to_end(scope)
        # When several workers have crashed, xdist gives work to each new one as soon as the first of them is ready, and
        # fails; a worker that is not ready yet gets its share when it is.
        if node not in getattr(self, "registered_collections", (node,)):
            return
        super()._assign_work_unit(node)
