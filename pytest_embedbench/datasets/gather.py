"""What every loader makes of the texts and judgments that it reads: by id, and no defect dropped in silence."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from pytest_embedbench.datasets.types import Finding, Qrels
from pytest_embedbench.errors import DatasetError


class Content(NamedTuple):
    """What a dataset's files hold; texts by id, in their order."""

    docs: dict[str, str]
    queries: dict[str, str]
    qrels: Qrels
    findings: list[Finding]
    split: str = ""
    judged_elsewhere: frozenset[str] = frozenset()
    """Queries that another split judges."""


def texts_by_id(texts: Iterable[tuple[str, str]], kind: str, where: str, findings: list[Finding]) -> dict[str, str]:
    """Texts by id, stripped; of an id that stands more than once the first is used.

    Args:
        texts: ids and texts.
        kind: what they are, ``document`` or ``query``.
        where: what messages call the place that they come from.
        findings: takes the finding of repeated ids.

    Raises:
        DatasetError: there is none.
    """
    found: dict[str, str] = {}
    repeated: list[str] = []
    for key, text in texts:
        if key in found:
            repeated.append(key)
        else:
            found[key] = text.strip()
    if not found:
        raise DatasetError(f"{where}: holds no {kind}")
    if repeated:
        findings.append(
            Finding(
                code=f"repeated-{kind}-ids",
                message=f"{kind} ids stand more than once in {where.rpartition('/')[2]}; the first of each is used",
                count=len(repeated),
                first=repeated[0],
                level="error",
                fix="give each text an id of its own: judgments cannot say which one they mean",
            )
        )
    return found


def collect_judgments(judgments: Iterable[tuple[str, str, int]], findings: list[Finding]) -> Qrels:
    """Judgments (query id, document id, grade) by query; of a pair that is judged more than once the highest grade."""
    qrels: Qrels = {}
    repeated: list[str] = []
    for query, doc, grade in judgments:
        judged = qrels.setdefault(query, {})
        if doc in judged:
            repeated.append(f"{query} {doc}")
        judged[doc] = max(grade, judged.get(doc, grade))
    if repeated:
        findings.append(
            Finding(
                code="repeated-judgments",
                message="judgments stand more than once; the highest grade of each is used",
                count=len(repeated),
                first=repeated[0],
                fix="keep one line for a query and a document",
            )
        )
    return qrels


def whole_grade(value: object, where: str) -> int:
    """A grade as a whole number; ``1``, ``1.0`` and ``"1"`` are one, and so is ``True``.

    Raises:
        DatasetError: it is none.
    """
    if isinstance(value, str | int | float):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if number.is_integer():
            return int(number)
    raise DatasetError(f"{where}: the grade {value!r} is not a whole number")
