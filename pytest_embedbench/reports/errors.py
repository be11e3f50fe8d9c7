"""The one error of this package."""

from __future__ import annotations

from pytest_embedbench.errors import EmbedbenchError


class CardError(EmbedbenchError, ValueError):
    """A page, a template or a card's texts that do not fit.

    Attributes:
        line: the 1-based line of the page or of the template, or None where no line is to blame.
        source: the template's path, or "" where the fault is in a page or in a card.
    """

    def __init__(self, message: str, *, line: int | None = None, source: str = "") -> None:
        """Put `source` and `line`, where known, before `message`."""
        self.line = line
        self.source = source
        where = ", ".join(
            part for part in (f"template {source}" if source else "", f"line {line}" if line else "") if part
        )
        super().__init__(f"{where}: {message}" if where else message)
