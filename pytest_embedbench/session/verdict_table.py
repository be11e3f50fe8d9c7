"""The table of verdicts, laid out for the terminal's width; no word is ever broken."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby, zip_longest
from textwrap import wrap

GAP = "  "
INDENT = "  "
KEPT_TOGETHER = re.compile(r"(?<=[\d<>=]) (?=\S)")
"""Spaces at which no line ends: ``>= 0.6`` and ``12.3 ms`` are read as one."""
JOINT = "\N{NO-BREAK SPACE}"

Row = Sequence[str]
Paint = Callable[[str], str]
"""Adds colours to a text that is laid out already."""


def lay_out(headers: Row, rows: Sequence[Row], width: int, paint: Paint = str) -> list[str]:
    """Return the lines of a table that is at most ``width`` columns wide, if its words allow that.

    Long cells go on in the next line. Where that is not enough, the first two cells of the rows become headings. The
    last cells are painted.
    """
    if (widths := _widths([headers, *rows], width)) is not None:
        return [*_head(headers, widths), *_body(rows, widths, paint)]
    short = [row[2:] for row in rows]
    inner = [headers[2:], *short]
    narrow = _widths(inner, width - len(INDENT)) or [max(map(_least, column)) for column in _columns(inner)]
    lines = [INDENT + line for line in _head(headers[2:], narrow)]
    for (first, second), group in groupby(rows, key=lambda row: (row[0], row[1])):
        lines.append(f"{first} on {second}" if second else first)
        lines += [INDENT + line for line in _body([row[2:] for row in group], narrow, paint)]
    return lines


def _columns(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    return list(zip(*rows, strict=True))


def _least(text: str) -> int:
    """Return the width below which a word of the text would be broken."""
    return max(map(len, KEPT_TOGETHER.sub(JOINT, text).split(" ")))


def _widths(rows: Sequence[Row], width: int) -> list[int] | None:
    """Return a width for each column so that all of them fit; None if some word is too long for that."""
    columns = _columns(rows)
    widths, least = [max(map(len, column)) for column in columns], [max(map(_least, column)) for column in columns]
    available = width - len(GAP) * (len(columns) - 1)
    if sum(least) > available:
        return None
    while sum(widths) > available:
        widest = max(range(len(widths)), key=lambda index: (widths[index] > least[index], widths[index]))
        widths[widest] -= 1
    return widths


def _head(headers: Row, widths: Sequence[int]) -> list[str]:
    return [*_body([headers], widths, str), GAP.join("-" * width for width in widths)]


def _body(rows: Sequence[Row], widths: Sequence[int], paint: Paint) -> list[str]:
    lines = []
    for row in rows:
        cells = [_wrapped(cell, width) for cell, width in zip(row, widths, strict=True)]
        for number, parts in enumerate(zip_longest(*cells, fillvalue="")):
            start = "".join(part.ljust(width) + GAP for part, width in zip(parts[:-1], widths, strict=False))
            # Only the first line of a cell says the verdict; the others go on with its reason.
            end = parts[-1] if number else paint(parts[-1])
            lines.append((start + end).rstrip())
    return lines


def _wrapped(cell: str, width: int) -> list[str]:
    text = KEPT_TOGETHER.sub(JOINT, cell)
    lines = wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [line.replace(JOINT, " ") for line in lines] or [""]
