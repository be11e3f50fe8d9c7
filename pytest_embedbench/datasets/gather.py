"""Collect the texts and judgments that a reader yields, by id; nothing odd is dropped in silence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pytest_embedbench.datasets.types import Finding, Qrels
from pytest_embedbench.errors import DatasetError

MAX_GRADE = 1_000
"""Largest grade, and with a minus sign the smallest.

trec_eval has a table with an entry for each gain up to the largest one: a large number, such as an id in the place of
a grade, makes every metric 0 or ends the process.
"""


class DatasetContent(NamedTuple):
    """Contents of a dataset's files; texts are by id, in the files' order."""

    docs: dict[str, str]
    queries: dict[str, str]
    qrels: Qrels
    findings: list[Finding]
    split: str = ""
    judged_elsewhere: frozenset[str] = frozenset()
    """Queries that another split judges."""
    judgments_from: str = ""
    """The file or files of the judgments, or where they were looked for; for messages."""
    revision: str = ""
    """Commit of the Hub's repository; "" for all other sources."""
    title_lengths: Mapping[str, int] = MappingProxyType({})
    """Document id -> characters of its title, at the head of its text."""


def texts_by_id(
    texts: Iterable[tuple[str, str, str]],
    kind: str,
    where: str,
    findings: list[Finding],
    title_lengths: dict[str, int] | None = None,
) -> dict[str, str]:
    """Return stripped texts by id; the first text of an id that comes more than once is used.

    Args:
        texts: ids, texts, and the titles that the texts begin with, empty where there are none.
        kind: ``document`` or ``query``, for messages.
        where: the file or dataset that the texts are from, for messages.
        findings: the finding about repeated ids is added to it.
        title_lengths: the lengths of titles are added to it, by id.

    Raises:
        DatasetError: there are no texts.
    """
    by_id: dict[str, str] = {}  # its order is that of the files, in which results list queries
    repeated: list[str] = []
    for key, text, title in texts:
        if key in by_id:
            repeated.append(key)
            continue
        by_id[key] = text.strip()
        if title_lengths is not None and (length := len(title.strip())):
            title_lengths[key] = length
    if not by_id:
        raise DatasetError(f"holds no {kind}", where=where)
    if not any(by_id.values()):
        fix = f"every {kind} needs a text, under the key text"
        raise DatasetError(f"the text of every {kind} is empty", where=where, fix=fix)
    if repeated:
        file = where.rpartition("/")[2]
        findings.append(
            Finding(
                code=f"repeated-{kind}-ids",
                message=f"{kind} ids occur more than once in {file}; the first text of each is used",
                count=len(repeated),
                first=repeated[0],
                level="error",
                fix="give each text an id of its own: judgments cannot say which of them they mean",
            )
        )
    return by_id


def not_a_text(value: object, name: str, where: str) -> DatasetError:
    """Return the error about a value in the place of a text; a list is probably the turns of a conversation."""
    if isinstance(value, list | tuple):
        problem = (
            f"the {name} is not a text but a list of {len(value)}, such as the turns of a conversation: {value!r:.80}"
        )
        fix = "join them to one text in the way that the model is to read them, e.g. with a line break between turns"
        return DatasetError(problem, where=where, fix=fix)
    return DatasetError(f"the {name} {value!r:.80} is not a text", where=where, fix="write it in quotation marks")


def collect_judgments(judgments: Iterable[tuple[str, str, int]], findings: list[Finding]) -> Qrels:
    """Return judgments (query id, document id, grade) by query; of repeated ones the highest grade counts."""
    qrels: Qrels = {}
    repeated: list[str] = []
    for query, doc, grade in judgments:
        judged = qrels.setdefault(query, {})
        if doc in judged:
            repeated.append(f"{query} {doc}")
        # Not the last one: a result must not depend on the order of the lines.
        judged[doc] = max(grade, judged.get(doc, grade))
    if repeated:
        findings.append(
            Finding(
                code="repeated-judgments",
                message="judgments occur more than once; the highest grade of each is used",
                count=len(repeated),
                first=repeated[0],
                fix="keep one line for each pair of query and document",
            )
        )
    return qrels


def whole_grade(value: object, where: str) -> int:
    """Return a grade as a whole number: 1 for ``1``, ``1.0``, ``"1"`` and ``True``.

    Raises:
        DatasetError: the grade is missing, not a whole number, or beyond ``MAX_GRADE``.
    """
    if value is None or value == "":
        fix = "write 0 where a document is not relevant, 1 or more where it is"
        raise DatasetError("the grade is missing", where=where, fix=fix)
    if isinstance(value, str | int | float):
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        except OverflowError:  # an integer of more than 308 digits
            number = math.inf
        if abs(number) > MAX_GRADE:
            problem = f"the grade {value!r:.40} is beyond {MAX_GRADE:,}, the largest that can be scored"
            fix = "give whole numbers such as 0 to 3; is this column really the grade, not an id or a score?"
            raise DatasetError(problem, where=where, fix=fix)
        # Metrics take integers as gains: a fraction would be cut off in silence, and NaN fits no integer.
        if number.is_integer():
            return int(number)
    fix = "give whole numbers such as 0 to 3: metrics would cut a fraction off"
    raise DatasetError(f"the grade {value!r:.40} is not a whole number", where=where, fix=fix)
