"""Read files of relevance judgments (qrels) in any table format: which column is which, and where a header is.

A table of JSON lines or Parquet always has column names. The first line of a TSV or CSV file is a header if its last
column is not a number; otherwise it is a judgment, and the columns are those of BEIR (query, document, grade) or of
trec_eval (query, iteration, document, grade). A header is never guessed at: columns are found by their names, in any
order, and a name that is not known, or two columns for one thing, is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

from pytest_embedbench.datasets.files import lines
from pytest_embedbench.datasets.gather import whole_grade
from pytest_embedbench.datasets.tables import delimited_rows, plain_name, read_records, separator_fix, table_suffix
from pytest_embedbench.datasets.types import Finding
from pytest_embedbench.errors import DatasetError

QRELS_HEADER = ("query-id", "corpus-id", "score")
"""BEIR's column names, in its order."""
BEIR_COLUMNS, TREC_COLUMNS = 3, 4
"""Columns of a line without header: trec_eval's layout has the iteration after the query."""

NO_COLUMN = -1
"""Position of a column that a table lacks."""


class _Role(NamedTuple):
    """A column's meaning and its names; ``short`` names count only if no column has one of ``names``.

    Short names are those that tables also give to texts: ``query`` beside ``query-id`` is the query's text.
    """

    title: str
    names: tuple[str, ...]
    short: tuple[str, ...] = ()


QUERY = _Role(
    "query ids",
    ("query-id", "queryid", "qid", "q-id", "query-no", "question-id", "topic-id", "topicid", "topic"),
    ("query", "question"),
)
DOCUMENT = _Role(
    "document ids",
    (
        "corpus-id", "corpusid", "doc-id", "docid", "did", "docno", "document-id", "documentid", "pid", "passage-id",
        "passageid",
    ),
    ("corpus", "doc", "document", "passage"),
)  # fmt: skip
GRADE = _Role(
    "grades",
    (
        "score", "relevance", "rel", "grade", "label", "rating", "gain", "judgment", "judgement", "relevance-score",
        "relevance-label", "relevance-grade", "relevancy", "qrel",
    ),
)  # fmt: skip

OTHER_NAMES = ("iteration", "iter", "q0", "split", "subset", "lang", "language", "title", "text", "")
"""Names of columns that are certainly not grades, so that judgments beside them may have none."""

FIX = "name the columns query-id, corpus-id and score; docs/suite.md lists the other names that are known"


class JudgmentColumns(NamedTuple):
    """Names of the three columns in one table; without ``grade`` each judgment says that a document is relevant."""

    query: str
    document: str
    grade: str | None


class RawJudgment(NamedTuple):
    """A judgment as it stands in a file; ``grade`` is not checked yet."""

    where: str
    query: str
    document: str
    grade: Any


def read_judgments(files: Sequence[Traversable], findings: list[Finding]) -> Iterator[tuple[str, str, int]]:
    """Yield judgments: query id, document id, grade.

    Raises:
        DatasetError: a column is missing or ambiguous, or a line is malformed; names the file and line.
    """
    for file in files:
        for where, query, document, grade in raw_judgments(file, findings):
            yield query, document, whole_grade(grade, where)


def raw_judgments(file: Traversable, findings: list[Finding]) -> Iterator[RawJudgment]:
    """Yield a file's judgments with grades as they stand there, 1 where the table has no column of grades.

    Raises:
        DatasetError: a column is missing or ambiguous, or a line is malformed; names the file and line.
    """
    if table_suffix(file.name) in {".tsv", ".csv"}:
        yield from _delimited_judgments(file, findings)
    else:
        yield from _record_judgments(file)


def judgment_columns(header: Sequence[str], where: str) -> JudgmentColumns:
    """Return the names of the columns with query ids, document ids and grades.

    Raises:
        DatasetError: one of them is missing, or two columns could be it.
    """
    query, document, grade = (_match(header, role, where) for role in (QUERY, DOCUMENT, GRADE))
    missing = [role.title for role, name in ((QUERY, query), (DOCUMENT, document)) if name is None]
    if grade is None and not missing:
        known = {*OTHER_NAMES, *QUERY.short, *DOCUMENT.short}
        if any(name not in {query, document} and _letters(name) not in known for name in header):
            missing = [GRADE.title]
    if missing or query is None or document is None:
        problem = f"no column of {' and none of '.join(missing)} is known; its header has {_shown(header)}"
        raise DatasetError(problem, where=where, fix=separator_fix(header) or FIX)
    return JudgmentColumns(query, document, grade)


def _match(header: Sequence[str], role: _Role, where: str) -> str | None:
    """Return the name of the one column with this role; None if there is none."""
    for names in (role.names, role.short):
        known = {_letters(name) for name in names}
        matches = [name for name in header if _letters(name) in known]
        if len(matches) > 1:
            problem = f"several columns could be the {role.title}: {_shown(matches)}"
            raise DatasetError(problem, where=where, fix="keep one of them, or give the others another name")
        if matches:
            return matches[0]
    return None


def _letters(name: str) -> str:
    """Return a column's name without separators or the ``#`` of a comment: ``queryid`` for ``#Query_ID``."""
    return plain_name(name).replace("-", "").strip("# ")


def _shown(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names)) or "nothing"


def _record_judgments(file: Traversable) -> Iterator[RawJudgment]:
    """Yield the judgments of a table whose rows name their columns."""
    first: Sequence[str] = ()
    columns: JudgmentColumns | None = None
    for number, record in read_records(
        file, lambda header: [name for name in judgment_columns(header, str(file)) if name]
    ):
        where = f"{file}:{number}"
        if columns is None:
            first, columns = tuple(record), judgment_columns(tuple(record), where)
        elif tuple(record) != first:
            _refuse_other_keys(record, first, columns, where)
        query, document = (_id_text(record[name], name, where) for name in (columns.query, columns.document))
        yield RawJudgment(where, query, document, 1 if columns.grade is None else record[columns.grade])


def _refuse_other_keys(record: dict[str, Any], first: Sequence[str], columns: JudgmentColumns, where: str) -> None:
    """Refuse a line whose judgment stands under other keys than that of the first line."""
    for name in columns:
        if name is not None and name not in record:
            problem = f"the key {name!r} is missing, which the first line has"
            raise DatasetError(problem, where=where, fix="give all lines the same keys")
    if judgment_columns(tuple(record), where) != columns:
        problem = f"its keys are {_shown(tuple(record))}, those of the first line {_shown(first)}"
        raise DatasetError(problem, where=where, fix="give all lines the same keys")


def _id_text(value: object, name: str, where: str) -> str:
    """Return an id as text; whole numbers in a column of floats, as pandas writes them, lose their ``.0``."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or value == "":
        kind = "query" if plain_name(name) in {*QUERY.names, *QUERY.short} else "document"
        raise DatasetError(f"the id of the {kind} is missing", where=where)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DatasetError(f"the id {value!r} is neither a text nor a whole number", where=where)
    return str(value)


def _delimited_judgments(file: Traversable, findings: list[Finding]) -> Iterator[RawJudgment]:
    """Yield judgments of BEIR's or trec_eval's layout, or of one that a header describes."""
    header: list[str] = []
    positions = {BEIR_COLUMNS: (0, 1, 2), TREC_COLUMNS: (0, 2, 3)}
    for index, (number, fields) in enumerate(_rows(file)):
        where = f"{file}:{number}"
        if index == 0 and not _is_number(fields[-1]):
            header = fields
            columns = judgment_columns(header, where)
            query, document = (header.index(name) for name in (columns.query, columns.document))
            order = (query, document, NO_COLUMN if columns.grade is None else header.index(columns.grade))
            # Lines of trec_eval's layout are known below BEIR's header too; below any other they are malformed.
            beir = len(header) == BEIR_COLUMNS and order == positions[BEIR_COLUMNS]
            positions = positions if beir else {len(header): order}
            continue
        if index == 0:
            findings.append(_without_header(file.name, "\t".join(fields)))
        if len(fields) not in positions:
            wanted = header or QRELS_HEADER
            count = "three" if len(wanted) == BEIR_COLUMNS else len(wanted)
            raise DatasetError(f"{len(fields)} columns instead of {count}: {' '.join(wanted)}", where=where)
        query, document, grade = positions[len(fields)]
        yield RawJudgment(
            where,
            _id_text(fields[query], QRELS_HEADER[0], where),
            _id_text(fields[document], QRELS_HEADER[1], where),
            1 if grade == NO_COLUMN else fields[grade],
        )


def _without_header(name: str, first: str) -> Finding:
    message = f"{name} has no header line ({' '.join(QRELS_HEADER)}); its first line is read as a judgment"
    fix = "write these three words, separated by tabs, as its first line: other tools skip the first line"
    return Finding(code="qrels-without-header", message=message, count=1, first=first, fix=fix)


def _rows(file: Traversable) -> Iterator[tuple[int, list[str]]]:
    """Yield stripped fields of each line that is not blank, and the line's number."""
    if table_suffix(file.name) == ".csv":
        for number, row in delimited_rows(file, ","):
            if any(field.strip() for field in row):
                yield number, [field.strip() for field in row]
        return
    quoted: bool | None = None
    for number, line in lines(file):
        # trec_eval's files are separated by spaces. BEIR's ids may have spaces, its columns are separated by tabs.
        fields = [field.strip() for field in (line.split("\t") if "\t" in line else line.split())]
        # Quotation marks around every field of the first line are those of a writer of CSV, not a part of ids.
        quoted = all(map(_is_quoted, fields)) if quoted is None else quoted
        yield number, [field[1:-1] if quoted and _is_quoted(field) else field for field in fields]


def _is_quoted(field: str) -> bool:
    return len(field) > 1 and field[0] == field[-1] == '"'


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
