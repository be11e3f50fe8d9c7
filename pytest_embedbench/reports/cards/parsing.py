"""Parse a page into facts, with the proof that the facts are the whole page."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from pytest_embedbench.reports.cards.grammar import read
from pytest_embedbench.reports.cards.rendering import fill
from pytest_embedbench.reports.errors import CardError

if TYPE_CHECKING:
    from pytest_embedbench.reports.cards.facts import Card


def parse(page: str) -> Card:
    """Return the facts of a model card.

    ``render`` of the result is ``page`` again, byte for byte: this is checked here, at each call.

    Raises:
        CardError: the page does not have the form of a card, or would not be printed as it is. ``.line`` is the first
            line at fault, and ``.problem`` says what was expected there.
    """
    card = read(page)
    printed = fill(card)
    if printed != page:
        pairs = zip_longest(page.split("\n"), printed.split("\n"))
        number, actual, expected = next(
            (number, actual, expected) for number, (actual, expected) in enumerate(pairs, 1) if actual != expected
        )
        raise CardError(f"expected {expected!r}, found {actual!r}", line=number)
    return card
