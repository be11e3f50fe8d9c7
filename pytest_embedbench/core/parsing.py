"""Texts that users write (``ndcg@10 >= 0.31``, ``b1 c16``): the error for one that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pytest_embedbench.errors import ConfigurationError

T = TypeVar("T")


class ParseError(ValueError):
    """A text that cannot be read.

    Args:
        problem: what is wrong with the text.
        fix: what to write instead; ``str(error)`` puts it after the problem and a semicolon.
    """

    def __init__(self, problem: str, fix: str = "") -> None:
        self.problem, self.fix = problem, fix
        super().__init__(f"{problem}; {fix}" if fix else problem)


MAX_TEXT = 1_000
"""Characters of a limit, a load profile, a name or a pattern."""
MAX_QUOTED = 80
"""Characters of a user's text that a message quotes."""


def shortened(text: str, most: int = MAX_QUOTED) -> str:
    """Return the text for a message: its first ``most`` characters, with an ellipsis where it is longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def refuse_long(text: str, most: int = MAX_TEXT) -> None:
    """Refuse a text of more than ``most`` characters before it is searched, which may take the square of its length.

    Raises:
        ParseError: the text is longer.
    """
    if len(text) > most:
        raise ParseError(f"{shortened(text)!r} has {len(text):,} characters", f"write at most {most:,}")


def bounded_int(digits: str, most: int) -> int | None:
    """Return the number that these decimal digits write, or None if it is above ``most``.

    Python itself refuses to read numbers of thousands of digits, with an error of its own.
    """
    significant = digits.lstrip("0")
    if len(significant) > len(str(most)):
        return None
    number = int(significant or "0")
    return number if number <= most else None


def parse_at(where: str, parser: Callable[[str], T], text: str) -> T:
    """Return ``parser(text)``; ``where`` is the file and key, or the option, that the text stands at.

    Raises:
        ConfigurationError: the parser raised a ParseError.
    """
    try:
        return parser(text)
    except ParseError as error:
        raise ConfigurationError(where, error.problem, error.fix) from None
