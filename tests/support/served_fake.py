"""The parts of a ``ServedEncoder`` that a fake server in a test has no use for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_embedbench.models.served.pace import Pace

if TYPE_CHECKING:
    from pytest_embedbench.models.protocol import Limits, PreparedText


class ServedFake:
    """Base of fake served models."""

    where = "model 'fake'"

    def __init__(self, limits: Limits) -> None:
        self.limits, self.pace = limits, Pace(limits.texts, limits.requests, timeout=3600)

    def stand_in(self, text: PreparedText, characters: int) -> PreparedText:
        return text._replace(payload="x" * characters)

    def too_long_fix(self, message: str) -> str:
        return f"cut it: {message}"
