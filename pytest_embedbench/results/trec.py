"""Runs in TREC's format, ``query Q0 document rank score tag``, and judgments: trec_eval and all tools read them."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from pytest_embedbench.core.runs import Ranking, Run
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.errors import ResultError

COLUMNS = 6
_UNSAFE = re.compile(r"[\s%]")


def dump_run(run: Run, tag: str) -> str:
    """The run as text. Scores keep all their digits, so that ties stay ties and no others appear.

    White space and ``%`` in an id are percent-encoded, since columns are parted by white space.
    """
    tag = _UNSAFE.sub("_", tag) or "embedbench"
    lines = [
        f"{_quoted(query)} Q0 {_quoted(doc)} {rank} {score!r} {tag}\n"
        for query in run
        for rank, (doc, score) in enumerate(run[query], 1)
    ]
    return "".join(lines)


def parse_run(text: str, where: str) -> Run:
    """Read a run; order comes from the scores, as in trec_eval, not from the rank column.

    Raises:
        ResultError: a line has not six columns, or its score is not a number.
    """
    rankings: dict[str, Ranking] = {}
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        try:
            query, _, doc, _, score, _ = fields
            rankings.setdefault(unquote(query), []).append((unquote(doc), float(score)))
        except ValueError:
            raise ResultError(f"{where}:{number}: not a TREC run line (query Q0 document rank score tag)") from None
    return Run(rankings)


def dump_qrels(dataset: Dataset) -> str:
    """The judgments behind a dataset's means, ``query 0 document grade``, for ``trec_eval -c`` to give the same means.

    Ids are encoded as in our runs. Queries that enter no mean are left out; grades below zero are 0.
    """
    return "".join(
        f"{_quoted(query)} 0 {_quoted(doc)} {max(grade, 0)}\n"
        for query in dataset.judged_queries
        for doc, grade in dataset.qrels[query].items()
    )


def _quoted(key: str) -> str:
    return _UNSAFE.sub(lambda match: quote(match[0]), key)
