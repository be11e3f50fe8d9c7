"""Read the facts of a page.

A page consists of blocks with one blank line between them: front matter, ``# title``, paragraphs, link lines, then the
parts ``## Overview`` (a table) and ``## Benchmarks`` (``### dataset`` sections). Each reader below takes one block;
a block inside a section that no reader claims is text. ``parsing.parse`` adds the proof that no byte was lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pytest_embedbench.reports.cards.facts import (
    NUMBER,
    Benchmarks,
    Block,
    Card,
    Count,
    Counts,
    Facets,
    Field,
    Figure,
    HighestRate,
    Link,
    NamedFigure,
    Overview,
    Part,
    Performance,
    Plot,
    Quality,
    Rates,
    Reference,
    Section,
    TextBlock,
)
from pytest_embedbench.reports.errors import CardError

DOT = " \N{MIDDLE DOT} "
TABLE_HEAD = ("| Field | Value |", "|-------|-------|")
RATES_HEAD = (
    "| Side | Texts a request | p99 at most | Highest rate held | Lowest that failed | Search ended | Hardware |",
    "|------|-----------------|-------------|-------------------|--------------------|--------------|----------|",
)
NO_RATE = "none"
AT_LEAST = "at least "

# A link's text may hold brackets, but no "](" that would end it.
_SHOWN = r"(?P<text>(?:\\.|(?!\]\()[^\\])*)"
# An address may hold parentheses in pairs, as Wikipedia's do.
_ADDRESS = r"(?P<url>[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)"
_HEADING = re.compile(r"#{1,6}(?: .*)?")
# A subset of YAML: no comments, lists or nested values.
_ENTRY = re.compile(r"(?P<name>[^\s:#-][^:]*):(?: (?P<value>.*))?")
_LINK = re.compile(rf"(?P<label>Source|Base model): \[{_SHOWN}\]\({_ADDRESS}\)")
_PLAIN_LINK = re.compile(r"(?P<label>Source|Base model): (?P<text>.+)")
_CELL = r"(?:\\\||[^|])*"
_ROW = re.compile(rf"\| (?P<name>{_CELL}) \| (?P<value>{_CELL}) \|")
# One cell for each column of RATES_HEAD.
_RATE = re.compile(r"\|" + rf" ({_CELL}) \|" * 7)
_FACET = re.compile(r"(?P<name>[^:]+): (?P<value>.*)")
_COUNT = re.compile(rf"(?P<name>[^:]+): (?P<figure>{NUMBER})(?: \((?P<note>.+)\))?")
_SCORE = re.compile(rf"(?P<name>.+?): (?P<figure>{NUMBER})")
_SPEED = re.compile(rf"(?P<name>.+?) (?P<figure>{NUMBER})")
_PERFORMANCE = re.compile(r"\*\*Performance(?: \((?P<profile>.+?)\))?:\*\* (?P<items>.*)")
_PLOT = re.compile(rf"!\[{_SHOWN}\]\({_ADDRESS}\)")
_REFERENCE = re.compile(rf"\[{_SHOWN}\]\({_ADDRESS}\)")


class Paragraph(NamedTuple):
    """Lines without a blank line between them; ``number`` is the 1-based number of the first line."""

    number: int
    lines: list[str]


def read(page: str) -> Card:
    """Return the facts of ``page``.

    Raises:
        CardError: the page does not have the form of a card; ``.line`` is the line, ``.problem`` what was expected.
    """
    if "\r" in page:
        number = page[: page.index("\r")].count("\n") + 1
        raise _error(number, "lines that end in LF alone", "a carriage return (CR)")
    body = page.rstrip("\n")  # kept apart, so that the page can be printed again byte for byte
    lines = body.split("\n")
    front_matter, start = _front_matter(lines)
    paragraphs = _paragraphs(lines, start)
    head, parts = _split(paragraphs, "## ")
    if not head or not head[0].lines[0].startswith("# "):
        # The first block is at fault; on a page without any block, its last line.
        first = (head or paragraphs or [Paragraph(len(lines), [lines[-1]])])[0]
        raise _error(first.number, "'# <title>'", repr(first.lines[0]))
    description, links = _introduction(head[1:])
    return Card(
        front_matter=front_matter,
        title=_heading(head[0], "# "),
        description=description,
        links=links,
        parts=tuple(_part(heading, content) for heading, content in parts),
        end=page[len(body) :],
    )


def _front_matter(lines: list[str]) -> tuple[tuple[Field, ...] | None, int]:
    """Return the front matter (None if there is none) and the index of the first line behind it."""
    if lines[0] != "---":
        return None, 0
    fields: list[Field] = []
    for index, line in enumerate(lines[1:], 1):
        if line == "---":
            if lines[index + 1 : index + 2] not in ([], [""]):
                raise _error(index + 2, "a blank line after the front matter", repr(lines[index + 1]))
            return tuple(fields), index + 2
        match = _ENTRY.fullmatch(line)
        if match is None:
            raise _error(index + 1, "'key: value' or '---' in the front matter", repr(line))
        fields.append(Field(name=match["name"], value=match["value"] or ""))
    raise _error(len(lines), "'---' at the end of the front matter", "the end of the page")


def _paragraphs(lines: list[str], start: int) -> list[Paragraph]:
    """Return the blocks from index ``start`` on; exactly one blank line must stand between two."""
    paragraphs: list[Paragraph] = []
    fresh = True
    for number, line in enumerate(lines[start:], start + 1):
        if not line:
            if fresh:
                raise _error(number, "a line with text", "a blank line")
            fresh = True
        elif fresh:
            paragraphs.append(Paragraph(number, [line]))
            fresh = False
        else:
            paragraphs[-1].lines.append(line)
    return paragraphs


def _split(paragraphs: list[Paragraph], mark: str) -> tuple[list[Paragraph], list[tuple[Paragraph, list[Paragraph]]]]:
    """Return the blocks before the first heading with ``mark``, and each such heading with the blocks below it."""
    head: list[Paragraph] = []
    groups: list[tuple[Paragraph, list[Paragraph]]] = []
    for paragraph in paragraphs:
        if paragraph.lines[0].startswith(mark):
            groups.append((paragraph, []))
        else:
            (groups[-1][1] if groups else head).append(paragraph)
    return head, groups


def _heading(paragraph: Paragraph, mark: str) -> str:
    number, lines = paragraph
    if len(lines) > 1:
        raise _error(number + 1, "a blank line after the heading", repr(lines[1]))
    title = lines[0].removeprefix(mark)
    if not title.strip():
        raise _error(number, f"'{mark}<title>'", repr(lines[0]))
    return title


def _introduction(paragraphs: list[Paragraph]) -> tuple[tuple[str, ...], tuple[Link, ...]]:
    """Return the description and the links; the last paragraph is links if all its lines are."""
    # Only the last paragraph can be links: a line such as "Source: [a](b)" may also stand in a description.
    links = [link for line in paragraphs[-1].lines if (link := _link(line))] if paragraphs else []
    if paragraphs and len(links) == len(paragraphs[-1].lines):
        paragraphs = paragraphs[:-1]
    else:
        links = []
    for number, lines in paragraphs:
        for offset, line in enumerate(lines):
            if _HEADING.fullmatch(line):
                raise _error(number + offset, "a paragraph, a link, '## Overview' or '## Benchmarks'", repr(line))
    return tuple("\n".join(paragraph.lines) for paragraph in paragraphs), tuple(links)


def _link(line: str) -> Link | None:
    if match := _LINK.fullmatch(line):
        return Link(label=match["label"], text=match["text"], url=match["url"])
    if match := _PLAIN_LINK.fullmatch(line):
        return Link(label=match["label"], text=match["text"])
    return None


def _part(heading: Paragraph, content: list[Paragraph]) -> Part:
    title = _heading(heading, "## ")
    if title == "Overview":
        return _overview(content)
    if title == "Benchmarks":
        return _benchmarks(content)
    raise _error(heading.number, "'## Overview' or '## Benchmarks'", repr(heading.lines[0]))


def _overview(content: list[Paragraph]) -> Overview:
    if not content:
        return Overview()
    rows = _table(content[0], TABLE_HEAD, _ROW, "a row '| field | value |'")
    fields = tuple(Field(name=match["name"], value=match["value"]) for _, match in rows)
    if content[1:]:
        raise _error(content[1].number, "'## Overview' or '## Benchmarks'", repr(content[1].lines[0]))
    return Overview(rows=fields)


def _table(
    paragraph: Paragraph, head: tuple[str, str], row: re.Pattern[str], wanted: str
) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield the rows below this head, each with its line's number; ``wanted`` describes a row in errors."""
    number, lines = paragraph
    # One empty line more, so that a table which ends after its first line is an error too.
    for offset, (expected, line) in enumerate(zip(head, [*lines, ""], strict=False)):
        if line != expected:
            raise _error(number + offset, repr(expected), repr(line) if line else "the end of the table")
    for index, line in enumerate(lines[2:], number + 2):
        match = row.fullmatch(line)
        if match is None:
            raise _error(index, wanted, repr(line))
        yield index, match


def _rates(paragraph: Paragraph) -> Rates:
    wanted = "a row '| Query | 1 | 500.0ms | 70.0 requests/s | 75.0 requests/s | ... | ... |'"
    rows = []
    for index, match in _table(paragraph, RATES_HEAD, _RATE, wanted):
        side, batch, limit, held, failed, ended, hardware = match.groups()
        try:
            rows.append(
                HighestRate(
                    side=side,
                    batch=Figure(text=batch),
                    limit=Figure(text=limit),
                    held=None if held == NO_RATE else Figure(text=held.removeprefix(AT_LEAST)),
                    at_least=held.startswith(AT_LEAST),
                    failed=None if failed == NO_RATE else Figure(text=failed),
                    ended=ended,
                    hardware=hardware,
                )
            )
        except ValueError:
            raise _error(index, wanted, repr(match[0])) from None
    return Rates(rows=tuple(rows))


def _benchmarks(content: list[Paragraph]) -> Benchmarks:
    head, groups = _split(content, "### ")
    if head:
        raise _error(head[0].number, "'### <dataset>'", repr(head[0].lines[0]))
    return Benchmarks(
        sections=tuple(
            Section(name=_heading(heading, "### "), blocks=tuple(_block(block) for block in blocks))
            for heading, blocks in groups
        )
    )


def _block(paragraph: Paragraph) -> Block:
    number, lines = paragraph
    if lines[0] == RATES_HEAD[0]:
        return _rates(paragraph)
    blocks = [_special(line, number + offset) for offset, line in enumerate(lines)]
    # A facts line is a block by itself.
    if blocks[0] is not None and len(lines) == 1:
        return blocks[0]
    for offset, block in enumerate(blocks):
        # A known line without a blank line beside it is a slip: taken as text, its facts would go unread.
        if block is not None:
            second = max(offset, 1)
            raise _error(number + second, f"a blank line beside the {block.kind} line", repr(lines[second]))
    return TextBlock(text="\n".join(lines))


def _special(line: str, number: int) -> Block | None:
    """Return the block that ``line`` forms on its own; None if it is text."""
    if _HEADING.fullmatch(line):
        raise _error(number, "a line of a section, '### <dataset>' or '## <part>'", repr(line))
    if line == RATES_HEAD[0]:
        raise _error(number, "a blank line before the table", repr(line))
    # From here on: a line that begins like a known one must be one, or a slip would go unread as text.
    if line.startswith("**Quality"):
        expected = "'**Quality:** ndcg at 10: 0.1234 \N{MIDDLE DOT} ...'"
        if not line.startswith("**Quality:** "):
            raise _error(number, expected, repr(line))
        return Quality(measures=_measures(line.removeprefix("**Quality:** "), _SCORE, number, expected))
    if line.startswith("**Performance"):
        expected = "'**Performance (L4 b1 c16):** Corpus 6.1K tok/s \N{MIDDLE DOT} ...'"
        match = _PERFORMANCE.fullmatch(line)
        if match is None:
            raise _error(number, expected, repr(line))
        return Performance(profile=match["profile"] or "", measures=_measures(match["items"], _SPEED, number, expected))
    if match := _REFERENCE.fullmatch(line):
        return Reference(text=match["text"], url=match["url"])
    if match := _PLOT.fullmatch(line):
        return Plot(text=match["text"], url=match["url"])
    if line.startswith("[Reference]("):
        raise _error(number, "'[Reference](address)'", repr(line))
    # No error if these do not fit: a sentence may begin with "Task: " too, and is then text.
    return _counts(line) or _facets(line)


def _measures(items: str, pattern: re.Pattern[str], number: int, expected: str) -> tuple[NamedFigure, ...]:
    measures = []
    for item in items.split(DOT):
        match = pattern.fullmatch(item)
        if match is None:
            raise _error(number, expected, repr(item))
        measures.append(NamedFigure(name=match["name"], figure=Figure(text=match["figure"])))
    return tuple(measures)


def _counts(line: str) -> Counts | None:
    items = _items(_COUNT, line) if line.startswith(("Corpus: ", "Queries: ")) else ()
    counts = tuple(
        Count(name=item["name"], figure=Figure(text=item["figure"]), note=item["note"] or "") for item in items
    )
    return Counts(counts=counts) if counts else None


def _facets(line: str) -> Facets | None:
    items = _items(_FACET, line) if line.startswith(("Domain: ", "Task: ", "Language: ")) else ()
    fields = tuple(Field(name=item["name"], value=item["value"]) for item in items)
    return Facets(fields=fields) if fields else None


def _items(pattern: re.Pattern[str], line: str) -> tuple[re.Match[str], ...]:
    """Return the matches of the items between middle dots, or none if one does not match."""
    matches = [pattern.fullmatch(item) for item in line.split(DOT)]
    matched = tuple(match for match in matches if match is not None)
    return matched if len(matched) == len(matches) else ()


def _error(line: int, expected: str, actual: str) -> CardError:
    return CardError(f"expected {expected}, found {actual}", line=line)
