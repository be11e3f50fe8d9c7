"""Read a collection in BEIR's layout or in that of MTEB's repositories on the Hub; ``layout`` describes both.

What cannot be read at all is an error that names the file and the line. What can be read but is odd is a finding.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from importlib.resources.abc import Traversable
from typing import Any

import msgspec

from pytest_embedbench.core.decoding import DECODE_ERRORS, DecodingError, decode_json
from pytest_embedbench.datasets.files import lines
from pytest_embedbench.datasets.gather import DatasetContent, collect_judgments, not_a_text, texts_by_id
from pytest_embedbench.datasets.judgment_tables import raw_judgments, read_judgments
from pytest_embedbench.datasets.layout import find_layout, left_aside
from pytest_embedbench.datasets.tables import Column, malformed_line, plain_name, read_table
from pytest_embedbench.datasets.types import Finding, Qrels
from pytest_embedbench.errors import DatasetError

TEXT_COLUMNS = (Column(("_id", "id")), Column(("text",)), Column(("title",), required=False))

OTHER_TEXT_KEYS = {
    "contents", "content", "body", "passage", "document", "sentence", "query", "question", "abstract", "heading",
}  # fmt: skip
"""Names that other tools give to texts."""

TextRecord = tuple[str | int, str | None, str | None]
"""Id, text and title of a document or query."""


class _JsonText(msgspec.Struct):
    """A line of corpus.jsonl or queries.jsonl; other keys (metadata) are allowed and ignored."""

    id: str | int | msgspec.UnsetType = msgspec.field(name="_id", default=msgspec.UNSET)
    text: str | msgspec.UnsetType | None = msgspec.UNSET
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
    title_lengths: dict[str, int] = {}
    docs = _read_texts(layout.corpus, "document", findings, title_lengths)
    queries = _read_texts(layout.queries, "query", findings)
    qrels = collect_judgments(read_judgments(layout.qrels.get(layout.split, []), findings), findings)
    source = ", ".join(map(str, layout.qrels.get(layout.split, [folder.joinpath("qrels")])))
    # A query without a judgment in this split is no defect if another split judges it.
    others = [file for other, files in layout.qrels.items() if other != layout.split for file in files]
    _refuse_swapped(qrels, docs, queries, source)
    aside = left_aside(folder)
    if aside:
        findings.append(_files_left_aside(aside))
    return DatasetContent(
        docs,
        queries,
        qrels,
        findings,
        layout.split,
        frozenset(_judged_queries(others)),
        judgments_from=source,
        title_lengths=title_lengths,
    )


def _refuse_swapped(qrels: Qrels, docs: Container[str], queries: Container[str], where: str) -> None:
    """Refuse judgments whose columns of queries and documents are swapped, which ids that differ show."""
    if not qrels or any(query in queries for query in qrels):
        return
    if all(query in docs for query in qrels) and all(doc in queries for judged in qrels.values() for doc in judged):
        problem = "the ids in its column of queries are those of documents, and the other way round"
        fix = "write query-id, corpus-id and score, separated by tabs, over the right columns as the first line"
        raise DatasetError(problem, where=where, fix=fix)


def _files_left_aside(names: Sequence[str]) -> Finding:
    return Finding(
        code="files-left-aside",
        message=f"files have the name of a part of the dataset, but are not read: {', '.join(names)}",
        count=len(names),
        first=names[0],
        fix="name judgments qrels/<split>.tsv, texts corpus.jsonl and queries.jsonl; or move the files elsewhere",
    )


def _read_texts(
    files: Sequence[Traversable], kind: str, findings: list[Finding], title_lengths: dict[str, int] | None = None
) -> dict[str, str]:
    """Return texts by id. A document's text is title, one space and text, as in BEIR and MTEB; a query has no title."""
    records = (
        record for file in files for record in (_jsonl_texts(file, findings) if _is_jsonl(file) else _table_texts(file))
    )
    if kind == "document":
        texts = ((str(key), f"{title or ''} {text or ''}", title or "") for key, text, title in records)
    else:
        texts = ((str(key), text or "", "") for key, text, _ in records)
    return texts_by_id(texts, kind, str(files[0]), findings, title_lengths)


def _is_jsonl(file: Traversable) -> bool:
    return file.name.removesuffix(".gz").endswith(".jsonl")


def _jsonl_texts(file: Traversable, findings: list[Finding]) -> Iterator[TextRecord]:
    """Yield texts line by line; ``tables`` reads JSON lines too, but into dictionaries, which takes longer."""
    decoder = msgspec.json.Decoder(_JsonText)
    for index, (number, line) in enumerate(lines(file)):
        where = f"{file}:{number}"
        try:
            record = decoder.decode(line)
        except DECODE_ERRORS as error:
            raise _malformed(file, number, line, error) from None
        if record.text is msgspec.UNSET:
            raise _no_text(_record(line, where), where)
        if index == 0:
            findings += _keys_left_aside(_record(line, where), file.name)
        key = record.plain_id if record.id is msgspec.UNSET else record.id
        if key is msgspec.UNSET:
            raise DatasetError("Object missing required field `_id`, a text or a whole number", where=where)
        yield key, record.text, record.title


def _malformed(file: Traversable, number: int, line: str, error: Exception) -> DatasetError:
    where = f"{file}:{number}"
    if "$.text" in str(error) or "$.title" in str(error):
        name = "title" if "$.title" in str(error) else "text"
        with suppress(DecodingError):  # what follows the list may be malformed
            value = decode_json(line, dict[str, Any])[name]
            return not_a_text(value, name, where)
    return malformed_line(file, number, line, error)


def _record(line: str, where: str) -> dict[str, Any]:
    """Return all of a line's keys; the decoder of texts passes over values that it does not need."""
    try:
        return decode_json(line, dict[str, Any])
    except DecodingError as error:
        raise DatasetError(str(error), where=where) from None


def _no_text(record: dict[str, Any], where: str) -> DatasetError:
    """Return the error about a line whose text stands under another key, or which has none."""
    meant = [name for name in record if plain_name(name) in {"text", *OTHER_TEXT_KEYS}]
    problem = f"no key 'text'; its keys are {', '.join(map(repr, record)) or 'none'}"
    fix = (
        f"rename the key {meant[0]} to text"
        if meant
        else 'give each line its text under the key text ("" if it has none)'
    )
    return DatasetError(problem, where=where, fix=fix)


def _keys_left_aside(record: dict[str, Any], name: str) -> list[Finding]:
    """Return a finding if a file's first line has texts under other keys beside ``text``."""
    aside = [key for key, value in record.items() if isinstance(value, str) and plain_name(key) in OTHER_TEXT_KEYS]
    if not aside:
        return []
    message = f"keys of {name} are not read, though their names are those of texts: {', '.join(aside)}"
    fix = "join what the model is to read under the key text (and title)"
    return [Finding(code="keys-left-aside", message=message, count=len(aside), first=aside[0], fix=fix)]


def _table_texts(file: Traversable) -> Iterator[TextRecord]:
    for number, (key, text, title) in read_table(file, TEXT_COLUMNS):
        where = f"{file}:{number}"
        if not isinstance(key, str | int):
            raise DatasetError(f"the id {key!r} is neither a text nor a whole number", where=where)
        for name, value in (("title", title), ("text", text)):
            if not isinstance(value, str | None):
                raise not_a_text(value, name, where)
        yield key, text, title


def _judged_queries(files: Sequence[Traversable]) -> Iterator[str]:
    """Yield the queries that other splits judge; a file of another split that cannot be read is of no concern here."""
    for file in files:
        with suppress(DatasetError):
            for judgment in raw_judgments(file, []):
                yield judgment.query
