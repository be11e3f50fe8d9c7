"""The facts of a model card, as immutable values without layout.

Every value keeps its text as printed, so that a page can be printed again byte for byte; numbers are read from that
text on demand. msgspec converts all types to JSON or TOML and back. Templates, also those of users, read the fields and
properties by name.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

import msgspec

from pytest_embedbench.core.parsing import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable

# A number as the page prints it: sign, digits (with or without thousands commas), decimals, magnitude, unit.
# No count and no measured value has more than 30 digits.
# A magnitude letter is followed by a space or the end ("6.1K tok/s", "4.0B"); in "5MB" the M belongs to the unit.
NUMBER = (
    r"(?P<number>-?(?:[0-9]{1,3}(?:,[0-9]{3}){1,9}|[0-9]{1,30})(?:\.[0-9]{1,30})?)(?P<magnitude>[KMBT](?= |$))?"
    r"(?: ?(?P<unit>[^\W\d_][^\s()]*|%))?"
)
_FIGURE = re.compile(NUMBER)
ValueT = TypeVar("ValueT")
_MAGNITUDE = {None: 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """The base of all facts: immutable, hashable, compared by value."""


class Figure(Fact, frozen=True, kw_only=True):
    """A number as printed: ``Figure(text="6.1K tok/s")`` has the value 6100.0 and the unit ``tok/s``.

    Raises:
        ValueError: the text is not a number with an optional magnitude (K, M, B, T) and unit.
    """

    text: str

    def __post_init__(self) -> None:
        """Refuse a text that is not a number, so that ``value`` cannot fail later."""
        self._match()

    def _match(self) -> re.Match[str]:
        match = _FIGURE.fullmatch(self.text)
        if match is None:
            found = shortened(self.text)
            raise ValueError(f"expected a number such as '0.1447', '57,599' or '6.1K tok/s', found {found!r}")
        return match

    @property
    def value(self) -> float:
        """The number in ``unit``, with its magnitude multiplied in."""
        match = self._match()
        # Decimal, because 1.1 * 10**6 is not 1100000.0 in floats.
        return float(Decimal(match["number"].replace(",", "")) * _MAGNITUDE[match["magnitude"]])

    @property
    def unit(self) -> str:
        """The unit as printed (``tok/s``, ``ms``); empty for a bare number."""
        return self._match()["unit"] or ""


class Field(Fact, frozen=True, kw_only=True):
    """A named text: a front matter entry, an overview row or a facet."""

    name: str
    value: str


class Link(Fact, frozen=True, kw_only=True):
    """A labelled link below the description; ``url`` is None if the page prints the text without a link."""

    label: str
    text: str
    url: str | None = None


class NamedFigure(Fact, frozen=True, kw_only=True):
    """A named number: ``ndcg at 10`` and ``0.1447``, ``Corpus p50`` and ``553.1ms``."""

    name: str
    figure: Figure


class Count(Fact, frozen=True, kw_only=True):
    """A number of texts: ``Corpus``, ``3,633`` and perhaps a note, ``3,593 unique texts``."""

    name: str
    figure: Figure
    note: str = ""

    @property
    def value(self) -> int:
        """The number of texts."""
        return round(self.figure.value)


class _Tagged(Fact, frozen=True, kw_only=True, tag_field="kind", tag=str.lower):
    """A member of a union; its tag in files, which templates read as ``kind``, is the class name in lower case."""

    @property
    def kind(self) -> str:
        """The tag; templates branch on it."""
        return str(self.__struct_config__.tag)


class Facets(_Tagged, frozen=True, kw_only=True):
    """The facets of a dataset: Domain, Task, Language, in the page's order."""

    fields: tuple[Field, ...]


class TextBlock(_Tagged, frozen=True, kw_only=True, tag="text"):
    """A paragraph, of one line or more."""

    text: str


class Counts(_Tagged, frozen=True, kw_only=True):
    """A dataset's size: Corpus and Queries."""

    counts: tuple[Count, ...]


class Quality(_Tagged, frozen=True, kw_only=True):
    """Scores by metric, named as printed (``ndcg at 10``); see ``format.metric_name``."""

    measures: tuple[NamedFigure, ...]

    @property
    def figures(self) -> dict[str, Figure]:
        """The scores by name; for a repeated name the first."""
        return _first((measure.name, measure.figure) for measure in self.measures)


class Performance(_Tagged, frozen=True, kw_only=True):
    """Speeds under one load profile such as ``L4 b1 c16``; ``profile`` is empty if the page names none."""

    measures: tuple[NamedFigure, ...]
    profile: str = ""

    @property
    def figures(self) -> dict[str, Figure]:
        """The speeds by name (``Corpus``, ``Query p50``); for a repeated name the first."""
        return _first((measure.name, measure.figure) for measure in self.measures)


class HighestRate(Fact, frozen=True, kw_only=True):
    """A search for the highest rate at which p99 is at most ``limit``.

    ``batch`` is the number of texts per request. ``held`` is the highest rate that held, ``failed`` the lowest that
    failed; None if there is none. ``at_least`` says that the server may hold more, since no rate failed or the load
    client could not send more. ``ended`` says how and why the search ended.
    """

    side: str
    batch: Figure
    limit: Figure
    held: Figure | None = None
    at_least: bool = False
    failed: Figure | None = None
    ended: str
    hardware: str


class Rates(_Tagged, frozen=True, kw_only=True):
    """The table of searches for the highest rate."""

    rows: tuple[HighestRate, ...]


class Reference(_Tagged, frozen=True, kw_only=True):
    """A link in a line of its own."""

    url: str
    text: str = "Reference"


class Plot(_Tagged, frozen=True, kw_only=True):
    """A picture beside the card; ``text`` describes it."""

    text: str
    url: str


Block = Facets | TextBlock | Counts | Quality | Performance | Rates | Plot | Reference
BlockT = TypeVar("BlockT", bound=Block)


class Section(Fact, frozen=True, kw_only=True):
    """One dataset: its name and its blocks, in the page's order.

    The properties below collect the facts of all blocks; for a repeated name the first counts.
    """

    name: str
    blocks: tuple[Block, ...] = ()

    @property
    def facets(self) -> dict[str, str]:
        """The facets by name: ``{"Domain": "finance", ...}``."""
        return _first((field.name, field.value) for block in self._all(Facets) for field in block.fields)

    @property
    def text(self) -> list[str]:
        """The paragraphs."""
        return [block.text for block in self._all(TextBlock)]

    @property
    def counts(self) -> dict[str, Count]:
        """The counts by name: ``section.counts["Corpus"].value == 57599``."""
        return _first((count.name, count) for block in self._all(Counts) for count in block.counts)

    @property
    def quality(self) -> dict[str, Figure]:
        """The scores by metric as printed: ``section.quality["ndcg at 10"].value == 0.1447``."""
        return _first(item for block in self._all(Quality) for item in block.figures.items())

    @property
    def performance(self) -> list[Performance]:
        """The performance blocks, one per profile."""
        return self._all(Performance)

    @property
    def rates(self) -> list[HighestRate]:
        """The highest rates, one row per search."""
        return [row for block in self._all(Rates) for row in block.rows]

    @property
    def plots(self) -> list[Plot]:
        """The pictures, each of one profile or of several."""
        return self._all(Plot)

    @property
    def references(self) -> list[Reference]:
        """The links in lines of their own."""
        return self._all(Reference)

    def _all(self, kind: type[BlockT]) -> list[BlockT]:
        return [block for block in self.blocks if isinstance(block, kind)]


class Overview(_Tagged, frozen=True, kw_only=True):
    """The part ``## Overview``. ``rows`` is None for a heading without a table, ``()`` for a table without rows."""

    rows: tuple[Field, ...] | None = None


class Benchmarks(_Tagged, frozen=True, kw_only=True):
    """The part ``## Benchmarks``: one section per dataset, possibly none."""

    sections: tuple[Section, ...] = ()


Part = Overview | Benchmarks


class Card(Fact, frozen=True, kw_only=True):
    """A model card.

    ``front_matter`` is None if the page has none, and ``()`` if it is empty. ``end`` is everything after the last
    line's text: a newline, none or several.
    """

    title: str
    front_matter: tuple[Field, ...] | None = None
    description: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    parts: tuple[Part, ...] = ()
    end: str = "\n"

    @property
    def metadata(self) -> dict[str, str]:
        """The front matter by key, for a repeated key the first; empty if there is none."""
        return _first((field.name, field.value) for field in self.front_matter or ())

    @property
    def overview(self) -> dict[str, str]:
        """The overview's values by field; for a repeated field the first."""
        tables = (part.rows or () for part in self.parts if isinstance(part, Overview))
        return _first((row.name, row.value) for rows in tables for row in rows)

    @property
    def sections(self) -> tuple[Section, ...]:
        """All dataset sections, in the page's order."""
        return tuple(section for part in self.parts if isinstance(part, Benchmarks) for section in part.sections)

    def section(self, name: str) -> Section:
        """Return the first section of that name.

        Raises:
            KeyError: the card has none; the message names the sections that it has.
        """
        for section in self.sections:
            if section.name == name:
                return section
        names = ", ".join(section.name for section in self.sections) or "none"
        raise KeyError(f"no section {name!r}; the card has: {names}")

    def link(self, label: str) -> Link | None:
        """Return the first link with that label (``Source``, ``Base model``), or None."""
        return next((link for link in self.links if link.label == label), None)


def _first(pairs: Iterable[tuple[str, ValueT]]) -> dict[str, ValueT]:
    """Return the pairs as a dict that keeps the first value of a repeated name."""
    result: dict[str, ValueT] = {}
    for name, value in pairs:
        result.setdefault(name, value)
    return result
