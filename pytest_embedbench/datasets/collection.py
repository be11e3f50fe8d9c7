"""Read a collection in BEIR's layout, or in that of MTEB's repositories on the Hub (``layout`` says what these are).

What cannot be read at all is an error that names the file and the line; what can be read but is odd is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources.abc import Traversable

import msgspec

from pytest_embedbench.datasets.files import lines
from pytest_embedbench.datasets.gather import Content, collect_judgments, texts_by_id, whole_grade
from pytest_embedbench.datasets.layout import find_layout
from pytest_embedbench.datasets.tables import Column, read_table
from pytest_embedbench.datasets.types import Finding
from pytest_embedbench.errors import DatasetError

HEADER = ("query-id", "corpus-id", "score")

TEXTS = (Column(("_id", "id")), Column(("text",)), Column(("title",), required=False))
JUDGMENTS = (Column(("query-id",)), Column(("corpus-id",)), Column(("score",), required=False))
"""NanoBEIR's judgments have no grade: all that are there are relevant."""


class _Record(msgspec.Struct):
    """A line of corpus.jsonl or queries.jsonl; other keys (metadata) are allowed and not needed."""

    id: str | int | msgspec.UnsetType = msgspec.field(name="_id", default=msgspec.UNSET)
    text: str | None = ""
    title: str | None = ""
    plain_id: str | int | msgspec.UnsetType = msgspec.field(name="id", default=msgspec.UNSET)


def read_collection(folder: Traversable, split: str = "", subset: str = "") -> Content:
    """Read the dataset of a folder, of an archive's folder, or of a snapshot of a Hub repository.

    Raises:
        DatasetError: a file is missing or a line is malformed; names the file and line.
    """
    findings: list[Finding] = []
    layout = find_layout(folder, split, subset)
    docs = _read_texts(layout.corpus, "document", findings)
    queries = _read_texts(layout.queries, "query", findings)
    qrels = collect_judgments(_read_qrels(layout.qrels.get(layout.split, []), findings), findings)
    others = [file for other, files in layout.qrels.items() if other != layout.split for file in files]
    return Content(docs, queries, qrels, findings, layout.split, frozenset(_judged_queries(others)))


def _read_texts(files: Sequence[Traversable], kind: str, findings: list[Finding]) -> dict[str, str]:
    """Texts by id: of documents title, one space and text (as BEIR and MTEB do), of queries the text."""
    records = (
        (str(key), f"{title or ''} {text or ''}" if kind == "document" else text or "")
        for file in files
        for key, text, title in (_jsonl_texts(file) if _is_jsonl(file) else _table_texts(file))
    )
    return texts_by_id(records, kind, str(files[0]), findings)


Text = tuple[str | int, str | None, str | None]
"""Id, text and title."""


def _is_jsonl(file: Traversable) -> bool:
    return file.name.removesuffix(".gz").endswith(".jsonl")


def _jsonl_texts(file: Traversable) -> Iterator[Text]:
    decoder = msgspec.json.Decoder(_Record)
    for number, line in lines(file):
        try:
            record = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise DatasetError(f"{file}:{number}: {error}") from None
        key = record.plain_id if record.id is msgspec.UNSET else record.id
        if key is msgspec.UNSET:
            raise DatasetError(f"{file}:{number}: Object missing required field `_id`, a text or a whole number")
        yield key, record.text, record.title


def _table_texts(file: Traversable) -> Iterator[Text]:
    for number, (key, text, title) in read_table(file, TEXTS):
        if not isinstance(key, str | int):
            raise DatasetError(f"{file}:{number}: the id {key!r} is neither a text nor a whole number")
        if not isinstance(text, str | None) or not isinstance(title, str | None):
            raise DatasetError(f"{file}:{number}: the text {text if title is None else title!r} is none")
        yield key, text, title


def _read_qrels(files: Sequence[Traversable], findings: list[Finding]) -> Iterator[tuple[str, str, int]]:
    for file in files:
        yield from _tsv_judgments(file, findings) if file.name.endswith(".tsv") else _table_judgments(file)


def _table_judgments(file: Traversable) -> Iterator[tuple[str, str, int]]:
    for number, (query, doc, score) in read_table(file, JUDGMENTS):
        if query is None or doc is None:
            raise DatasetError(f"{file}:{number}: the id of the {'query' if query is None else 'document'} is missing")
        yield str(query), str(doc), whole_grade(1 if score is None else score, f"{file}:{number}")


def _tsv_judgments(file: Traversable, findings: list[Finding]) -> Iterator[tuple[str, str, int]]:
    """BEIR's judgments or trec_eval's, with or without a header."""
    for place, (number, line) in enumerate(lines(file)):
        fields = _fields(line)
        if place == 0 and not _is_number(fields[-1]):
            continue
        if place == 0:
            message = f"{file.name} has no header line ({' '.join(HEADER)}); its first line is read as a judgment"
            fix = "write these three words, parted by tabs, as its first line: other tools drop what stands there"
            findings.append(Finding(code="qrels-without-header", message=message, count=1, first=line, fix=fix))
        if len(fields) == 4:  # noqa: PLR2004 - trec_eval's layout: query, iteration, document, grade
            fields = [fields[0], *fields[2:]]
        where = f"{file}:{number}"
        if len(fields) != len(HEADER):
            raise DatasetError(f"{where}: {len(fields)} columns where {' '.join(HEADER)} belong")
        yield fields[0].strip(), fields[1].strip(), whole_grade(fields[2], where)


def _judged_queries(files: Sequence[Traversable]) -> Iterator[str]:
    for file in files:
        if file.name.endswith(".tsv"):
            yield from (_fields(line)[0].strip() for _, line in lines(file))
        else:
            yield from (str(query) for _, (query,) in read_table(file, JUDGMENTS[:1]))


def _fields(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
