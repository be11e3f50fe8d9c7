"""A session as markdown, for a CI step's page: what failed comes first, with its explanation folded.

GitHub shows what a step appends to the file ``$GITHUB_STEP_SUMMARY``, and drops it whole beyond 1 MiB.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pytest_embedbench.reports.text import collapse, literal

MOST_BYTES = 1024 * 1024
MARKS = {
    "failed": "\N{CROSS MARK} FAIL",
    "passed": "\N{WHITE HEAVY CHECK MARK} pass",
    "measured": "measured",
    "skipped": "skip",
}
"""Statuses in the table's order."""
MOST_CHARACTERS = 20_000
"""Of one explanation, so that a single one cannot take the room of all others."""
CUT = "\n\nCut here: the rest does not fit into the 1 MiB that GitHub shows. The run's log has all of it.\n"

_NUMBER = re.compile(r"\A([0-9]+)\\(?=\.)")
"""What is escaped at the start of a line, where 1. opens a list; in a cell it does not."""


class Line(NamedTuple):
    """One check, or one test in Python; what is not known of it is empty."""

    model: str
    dataset: str
    check: str
    status: str
    measured: str = ""
    limit: str = ""
    explanation: str = ""


class Summary(NamedTuple):
    """What a session has to say: checks in the order in which they ran, notes, and where files are."""

    lines: Sequence[Line]
    notes: Sequence[str] = ()
    places: Sequence[str] = ()


def markdown(summary: Summary, most_bytes: int = MOST_BYTES) -> str:
    """The page, cut with a statement where it would be larger; empty where not even its head fits."""
    text: list[str] = []
    size = 0
    for piece in _pieces(summary):
        size += len(piece.encode(errors="replace"))
        if size + len(CUT) > most_bytes:
            return "".join([*text, CUT]) if text else ""
        text.append(piece)
    return "".join([*text, "\n"])


def _pieces(summary: Summary) -> Iterator[str]:
    """The page in pieces that each can be the last one."""
    order = list(MARKS)
    lines = sorted(summary.lines, key=lambda line: order.index(line.status))
    counts = Counter(line.status for line in lines)
    said = ", ".join(f"{counts[status]} {status}" for status in order if counts[status])
    head = "\n\n| | model | dataset | check | measured | limit |\n|---|---|---|---|---:|---:|" if lines else ""
    yield f"## embedbench: {said or 'nothing checked'}{head}"
    for line in lines:
        cells = (MARKS[line.status], *map(_cell, (line.model, line.dataset, line.check, line.measured, line.limit)))
        yield f"\n| {' | '.join(cells)} |"
    for line in lines:
        if line.explanation and line.status in {"failed", "skipped"}:
            yield _folded(line)
    for title, texts in (("Notes", summary.notes), ("Files", summary.places)):
        for number, text in enumerate(texts):
            heading = "" if number else f"\n\n### {title}\n"
            yield f"{heading}\n- {literal(text)}"


def _cell(text: str) -> str:
    return _NUMBER.sub(r"\1", literal(text))


def _folded(line: Line) -> str:
    """An explanation behind a line to click at; in HTML, where no mark of Markdown counts."""
    where = " on ".join(filter(None, (line.model, line.dataset)))
    more = len(line.explanation) - MOST_CHARACTERS
    text = line.explanation if more <= 0 else f"{line.explanation[:MOST_CHARACTERS]}\n... and {more:,} characters more"
    title = html.escape(collapse(": ".join(filter(None, (where, line.check, MARKS[line.status])))))
    return f"\n\n<details><summary>{title}</summary>\n\n<pre>\n{html.escape(text)}\n</pre>\n</details>"


def publish(summary: Summary, fresh: Path | None, step: Path | None) -> list[str]:
    """Write the page to the file ``fresh`` and append it to a CI step's; lines that say what could not be written."""
    problems = []
    for path, write in ((fresh, _write), (step, _append)):
        if path is None or (write is _write and step and path.resolve() == step.resolve()):
            continue
        try:
            write(summary, path)
        except (OSError, ValueError) as error:
            problems.append(f"summary: not written: {path}: {getattr(error, 'strerror', None) or error}")
    return problems


def _write(summary: Summary, path: Path) -> None:
    from pytest_embedbench.core.files import write_atomically

    write_atomically(path, markdown(summary).encode(errors="replace").decode())


def _append(summary: Summary, path: Path) -> None:
    """Append to what the step's other commands have written; all of it must fit."""
    used = path.stat().st_size if path.exists() else 0
    text = markdown(summary, MOST_BYTES - used - 1)
    if not text:
        msg = f"it holds {used:,} bytes already, and GitHub shows no more than {MOST_BYTES:,}"
        raise ValueError(msg)
    with path.open("ab") as file:
        file.write(("\n" if used else "").encode() + text.encode(errors="replace"))
