"""Distribute items over xdist's workers: a model on a dataset stays together, everything else is spread."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling


class PairScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Items of one pair form a scope (``file::model::dataset``), so that one worker encodes it, once."""

    def _split_scope(self, nodeid: str) -> str:
        file, *rest = nodeid.split("::")
        return "::".join([file, *rest[:2]]) if file.endswith(".toml") else nodeid
