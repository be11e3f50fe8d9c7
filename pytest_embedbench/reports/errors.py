"""The error of pages, templates and cards."""

from __future__ import annotations

from pytest_embedbench.errors import EmbedbenchError


class CardError(EmbedbenchError, ValueError):
    """A page cannot be read as a card, a template does not work, or a card's texts would break its page.

    ``where`` is made from ``source`` and ``line``: ``template mine.md.j2, line 3``.

    Args:
        problem: what is wrong.
        line: the 1-based line of the page or of the template; None if no line is to blame.
        source: the template's path; empty if the fault is in a page or in a card.
        fix: what to do about it.
    """

    def __init__(self, problem: str, *, line: int | None = None, source: str = "", fix: str = "") -> None:
        self.line, self.source = line, source
        parts = (f"template {source}" if source else "", f"line {line}" if line else "")
        super().__init__(problem, where=", ".join(filter(None, parts)), fix=fix)
