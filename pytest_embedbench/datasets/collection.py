"""Read a collection in BEIR's layout or in that of MTEB's repositories on the Hub; ``layout`` describes both.

What cannot be read at all is an error that names the file and the line. What can be read but is odd is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources.abc import Traversable

import msgspec

from pytest_embedbench.datasets.files import lines
from pytest_embedbench.datasets.gather import DatasetContent, collect_judgments, texts_by_id, whole_grade
from pytest_embedbench.datasets.layout import find_layout
from pytest_embedbench.datasets.tables import Column, read_table
from pytest_embedbench.datasets.types import Finding
from pytest_embedbench.errors import DatasetError

QRELS_HEADER = ("query-id", "corpus-id", "score")

TEXT_COLUMNS = (Column(("_id", "id")), Column(("text",)), Column(("title",), required=False))
JUDGMENT_COLUMNS = (Column(("query-id",)), Column(("corpus-id",)), Column(("score",), required=False))
"""NanoBEIR's judgments have no grade: each of them says that a document is relevant."""

TextRecord = tuple[str | int, str | None, str | None]
"""Id, text and title of a document or query."""


class _JsonText(msgspec.Struct):
    """A line of corpus.jsonl or queries.jsonl; other keys (metadata) are allowed and ignored."""

    id: str | int | msgspec.UnsetType = msgspec.field(name="_id", default=msgspec.UNSET)
    text: str | None = ""
    title: str | None = ""
    plain_id: str | int | msgspec.UnsetType = msgspec.field(name="id", default=msgspec.UNSET)


def read_collection(folder: Traversable, split: str = "", subset: str = "") -> DatasetContent:
    """Read the dataset in a folder, in an archive's folder, or in a snapshot of a Hub repository.

    Args:
        folder: the folder.
        split: which judgments to use; absent: ``test``, or the only ones.
        subset: which language or domain of a repository to use, if it has several.

    Raises:
        DatasetError: a file is missing or a line is malformed; names the file and line.
    """
    findings: list[Finding] = []
    layout = find_layout(folder, split, subset)
    docs = _read_texts(layout.corpus, "document", findings)
    queries = _read_texts(layout.queries, "query", findings)
    qrels = collect_judgments(_read_qrels(layout.qrels.get(layout.split, []), findings), findings)
    # A query without a judgment in this split is no defect if another split judges it.
    others = [file for other, files in layout.qrels.items() if other != layout.split for file in files]
    return DatasetContent(docs, queries, qrels, findings, layout.split, frozenset(_judged_queries(others)))


def _read_texts(files: Sequence[Traversable], kind: str, findings: list[Finding]) -> dict[str, str]:
    """Return texts by id. A document's text is title, one space and text, as in BEIR and MTEB; a query has no title."""
    texts = (
        (str(key), f"{title or ''} {text or ''}" if kind == "document" else text or "")
        for file in files
        for key, text, title in (_jsonl_texts(file) if _is_jsonl(file) else _table_texts(file))
    )
    return texts_by_id(texts, kind, str(files[0]), findings)


def _is_jsonl(file: Traversable) -> bool:
    return file.name.removesuffix(".gz").endswith(".jsonl")


def _jsonl_texts(file: Traversable) -> Iterator[TextRecord]:
    """Yield texts line by line; ``tables`` reads JSON lines too, but into dictionaries, which takes longer."""
    decoder = msgspec.json.Decoder(_JsonText)
    for number, line in lines(file):
        where = f"{file}:{number}"
        try:
            record = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise DatasetError(str(error), where=where) from None
        key = record.plain_id if record.id is msgspec.UNSET else record.id
        if key is msgspec.UNSET:
            raise DatasetError("Object missing required field `_id`, a text or a whole number", where=where)
        yield key, record.text, record.title


def _table_texts(file: Traversable) -> Iterator[TextRecord]:
    for number, (key, text, title) in read_table(file, TEXT_COLUMNS):
        where = f"{file}:{number}"
        if not isinstance(key, str | int):
            raise DatasetError(f"the id {key!r} is neither a text nor a whole number", where=where)
        for name, value in (("title", title), ("text", text)):
            if not isinstance(value, str | None):
                raise DatasetError(f"the {name} {value!r} is not a text", where=where)
        yield key, text, title


def _read_qrels(files: Sequence[Traversable], findings: list[Finding]) -> Iterator[tuple[str, str, int]]:
    for file in files:
        yield from _tsv_judgments(file, findings) if file.name.endswith(".tsv") else _table_judgments(file)


def _table_judgments(file: Traversable) -> Iterator[tuple[str, str, int]]:
    for number, (query, doc, score) in read_table(file, JUDGMENT_COLUMNS):
        where = f"{file}:{number}"
        if query is None or doc is None:
            raise DatasetError(f"the id of the {'query' if query is None else 'document'} is missing", where=where)
        yield str(query), str(doc), whole_grade(1 if score is None else score, where)


def _tsv_judgments(file: Traversable, findings: list[Finding]) -> Iterator[tuple[str, str, int]]:
    """Yield judgments of BEIR's or trec_eval's layout, with or without a header."""
    for index, (number, line) in enumerate(lines(file)):
        fields = _fields(line)
        # Headers have various words ("score", "relevance"), but never a number as the last one.
        if index == 0 and not _is_number(fields[-1]):
            continue
        if index == 0:
            message = f"{file.name} has no header line ({' '.join(QRELS_HEADER)}); its first line is read as a judgment"
            fix = "write these three words, separated by tabs, as its first line: other tools skip the first line"
            findings.append(Finding(code="qrels-without-header", message=message, count=1, first=line, fix=fix))
        if len(fields) == 4:  # noqa: PLR2004 - trec_eval's layout: query, iteration, document, grade
            fields = [fields[0], *fields[2:]]
        where = f"{file}:{number}"
        if len(fields) != len(QRELS_HEADER):
            problem = f"{len(fields)} columns instead of three: {' '.join(QRELS_HEADER)}"
            raise DatasetError(problem, where=where)
        yield fields[0].strip(), fields[1].strip(), whole_grade(fields[2], where)


def _judged_queries(files: Sequence[Traversable]) -> Iterator[str]:
    for file in files:
        if file.name.endswith(".tsv"):
            yield from (_fields(line)[0].strip() for _, line in lines(file))
        else:
            yield from (str(query) for _, (query,) in read_table(file, JUDGMENT_COLUMNS[:1]))


def _fields(line: str) -> list[str]:
    # trec_eval's files are separated by spaces. BEIR's ids may have spaces, its columns are separated by tabs.
    return line.split("\t") if "\t" in line else line.split()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
