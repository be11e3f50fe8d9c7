"""Read and write runs (``query Q0 document rank score tag``) and qrels in TREC's format, as for trec_eval."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from pytest_embedbench.core.runs import Ranking, Run
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.errors import ResultError

COLUMNS = 6
_UNSAFE = re.compile(r"[\s%]|\A[#\ufeff]")
"""What is percent-encoded in an id: columns are separated by white space, readers take a line that begins with ``#``
for a comment, and a file that begins with a byte order mark loses it."""

NO_ID = "%"
"""What stands for an empty id: no other id is written like this, since each ``%`` in an id is encoded."""


def dump_run(run: Run, tag: str) -> str:
    """Return the run as text. Scores keep all their digits, so that exactly the tied scores stay ties.

    White space and ``%`` in an id are percent-encoded, and so is a ``#`` at its beginning; an empty id is ``%``. So
    whatever the ids, what is written reads back the same.
    """
    tag = _UNSAFE.sub("_", tag) or "embedbench"  # the last column must not be empty
    lines = [
        f"{_quoted(query)} Q0 {_quoted(doc)} {rank} {score!r} {tag}\n"
        for query in run
        for rank, (doc, score) in enumerate(run[query], 1)
    ]
    return "".join(lines)


def parse_run(text: str, where: str) -> Run:
    """Read a run; as in trec_eval, the order comes from the scores, not from the rank column.

    Raises:
        ResultError: a line does not have six columns, or its score is not a number.
    """
    rankings: dict[str, Ranking] = {}
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        try:
            query, _, doc, _, score, _ = fields
            rankings.setdefault(_unquoted(query), []).append((_unquoted(doc), float(score)))
        except ValueError:
            problem = "not a TREC run line (query Q0 document rank score tag)"
            raise ResultError(problem, where=f"{where}:{number}") from None
    return Run(rankings)


def dump_qrels(dataset: Dataset) -> str:
    """Return the qrels behind a dataset's means, ``query 0 document grade``: ``trec_eval -c`` gives the same means.

    Ids are encoded as in ``dump_run``. Queries that enter no mean are left out; grades below zero become 0.
    """
    return "".join(
        f"{_quoted(query)} 0 {_quoted(doc)} {max(grade, 0)}\n"
        for query in dataset.judged_queries
        for doc, grade in dataset.qrels[query].items()
    )


def _quoted(key: str) -> str:
    return _UNSAFE.sub(lambda match: quote(match[0]), key) or NO_ID


def _unquoted(text: str) -> str:
    return "" if text == NO_ID else unquote(text)
