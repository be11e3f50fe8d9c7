"""Facts from a page, with the proof that they are the whole page."""

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

    `render` of the result is `page` again, byte for byte: this is checked here, at each call.

    Raises:
        CardError: if the page is not of the form, or would not come back as it is. `.line` is the first line
            at fault, and the message says what was expected there.
    """
    card = read(page)
    printed = fill(card)
    if printed != page:
        pairs = zip_longest(page.split("\n"), printed.split("\n"))
        number, found, expected = next(
            (number, found, expected) for number, (found, expected) in enumerate(pairs, 1) if found != expected
        )
        message = f"expected {expected!r}, found {found!r}"
        raise CardError(message, line=number)
    return card
