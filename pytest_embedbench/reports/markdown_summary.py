"""Write a session's summary as Markdown for a CI step's page: failures first, explanations folded.

GitHub shows the text that a step appends to the file ``$GITHUB_STEP_SUMMARY``, and drops all of it beyond 1 MiB.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pytest_embedbench.reports.text import collapse, literal

MAX_BYTES = 1024 * 1024
"""Bytes; the most that GitHub shows of one step."""
STATUS_MARKS = {
    "failed": "\N{CROSS MARK} FAIL",
    "passed": "\N{WHITE HEAVY CHECK MARK} pass",
    "measured": "measured",
    "skipped": "skip",
}
"""Status -> its mark in the table, in the table's order."""
MAX_EXPLANATION_CHARACTERS = 20_000
"""Characters of one explanation, so that a single one cannot take the room of all others."""
CUT_NOTE = "\n\nCut here: the rest does not fit into the 1 MiB that GitHub shows. The run's log has all of it.\n"

_ESCAPED_NUMBER = re.compile(r"\A([0-9]+)\\(?=\.)")
"""A number escaped at the start of a text: ``1.`` opens a list at the start of a line, but not in a table cell."""


class SummaryLine(NamedTuple):
    """One check, or one test in Python; unknown fields are empty."""

    model: str
    dataset: str
    check: str
    status: str
    measured: str = ""
    limit: str = ""
    explanation: str = ""


class Summary(NamedTuple):
    """The content of a session's summary: checks in the order in which they ran, notes, and lines on written files."""

    lines: Sequence[SummaryLine]
    notes: Sequence[str] = ()
    files: Sequence[str] = ()


def markdown(summary: Summary, max_bytes: int = MAX_BYTES) -> str:
    """Return the page; cut, with a note, beyond ``max_bytes``, and empty if not even its head fits."""
    text: list[str] = []
    size = 0
    for piece in _pieces(summary):
        size += len(piece.encode(errors="replace"))  # names from the command line may hold lone surrogates
        if size + len(CUT_NOTE) > max_bytes:
            return "".join([*text, CUT_NOTE]) if text else ""
        text.append(piece)
    return "".join([*text, "\n"])


def _pieces(summary: Summary) -> Iterator[str]:
    """Yield the page in pieces; it may be cut after each of them."""
    order = list(STATUS_MARKS)
    lines = sorted(summary.lines, key=lambda line: order.index(line.status))
    counts = Counter(line.status for line in lines)
    totals = ", ".join(f"{counts[status]} {status}" for status in order if counts[status])
    # In one piece with the heading: a page that is cut here still has a whole table.
    head = "\n\n| | model | dataset | check | measured | limit |\n|---|---|---|---|---:|---:|" if lines else ""
    yield f"## embedbench: {totals or 'nothing checked'}{head}"
    for line in lines:
        cells = (
            STATUS_MARKS[line.status],
            *map(_cell, (line.model, line.dataset, line.check, line.measured, line.limit)),
        )
        yield f"\n| {' | '.join(cells)} |"
    for line in lines:
        if line.explanation and line.status in {"failed", "skipped"}:
            yield _folded(line)
    for title, texts in (("Notes", summary.notes), ("Files", summary.files)):
        for number, text in enumerate(texts):
            heading = "" if number else f"\n\n### {title}\n"
            yield f"{heading}\n- {literal(text)}"


def _cell(text: str) -> str:
    return _ESCAPED_NUMBER.sub(r"\1", literal(text))


def _folded(line: SummaryLine) -> str:
    """Return an explanation that a click unfolds; as HTML, in which Markdown's marks have no meaning."""
    pair = " on ".join(filter(None, (line.model, line.dataset)))
    more = len(line.explanation) - MAX_EXPLANATION_CHARACTERS
    text = (
        line.explanation
        if more <= 0
        else f"{line.explanation[:MAX_EXPLANATION_CHARACTERS]}\n... and {more:,} characters more"
    )
    title = html.escape(collapse(": ".join(filter(None, (pair, line.check, STATUS_MARKS[line.status])))))
    return f"\n\n<details><summary>{title}</summary>\n\n<pre>\n{html.escape(text)}\n</pre>\n</details>"


def publish(summary: Summary, fresh: Path | None, step: Path | None) -> list[str]:
    """Write the page to the file ``fresh`` and append it to a CI step's file; return a line for each failure.

    A failure is only reported: a summary that cannot be written never fails the session.
    """
    problems = []
    for path, write in ((fresh, _write), (step, _append)):
        # If both are the same file, the page goes there once.
        if path is None or (write is _write and step and path.resolve() == step.resolve()):
            continue
        try:
            write(summary, path)
        except (OSError, ValueError) as error:
            problems.append(f"summary: not written: {path}: {getattr(error, 'strerror', None) or error}")
    return problems


def _write(summary: Summary, path: Path) -> None:
    from pytest_embedbench.core.files import write_atomically

    # Encoded and decoded again, which replaces what UTF-8 cannot hold.
    write_atomically(path, markdown(summary).encode(errors="replace").decode())


def _append(summary: Summary, path: Path) -> None:
    """Append to the text of the step's other commands; GitHub's limit is on all of it together."""
    used = path.stat().st_size if path.exists() else 0
    text = markdown(summary, MAX_BYTES - used - 1)  # 1: the newline in front
    if not text:
        raise ValueError(f"it holds {used:,} bytes already, and GitHub shows no more than {MAX_BYTES:,}")
    with path.open("ab") as file:
        file.write(("\n" if used else "").encode() + text.encode(errors="replace"))
