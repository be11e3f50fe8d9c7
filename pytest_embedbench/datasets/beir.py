"""Read a dataset in the BEIR layout: ``corpus.jsonl``, ``queries.jsonl``, ``qrels/<split>.tsv``.

Real collections have defects (a missing header, judged documents that are not there). None is dropped in
silence: each becomes a finding with its count and first case. What cannot be read at all is an error that names
the file and the line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from pytest_embedbench.datasets.types import Dataset, DatasetFacts, Finding, Qrels
from pytest_embedbench.errors import DatasetError

HEADER = ("query-id", "corpus-id", "score")


class _Record(msgspec.Struct):
    """A line of corpus.jsonl or queries.jsonl; other keys (metadata) are allowed and not needed."""

    id: str | int = msgspec.field(name="_id")
    text: str | None = ""
    title: str | None = ""


def find_split(folder: Path, split: str) -> str:
    """The split to use: the one asked for, else ``test``, else the only one; "" where there are no judgments.

    Raises:
        DatasetError: the split asked for is not there, or there are several and none is ``test``.
    """
    there = sorted(path.stem for path in (folder / "qrels").glob("*.tsv"))
    if split:
        if split not in there:
            raise DatasetError(f"{folder / 'qrels'}: no split {split!r}; there are: {', '.join(there) or 'none'}")
        return split
    if "test" in there or not there:
        return "test" if there else ""
    if len(there) > 1:
        raise DatasetError(f"{folder / 'qrels'}: which split? choose one of {', '.join(there)}")
    return there[0]


def load_beir(folder: Path, name: str, facts: DatasetFacts, *, split: str = "", drop_self: bool = False) -> Dataset:
    """Load a BEIR folder.

    Raises:
        DatasetError: a file is missing or a line is malformed; names the file and line.
    """
    findings: list[Finding] = []
    split = find_split(folder, split)
    docs = _read_records(folder / "corpus.jsonl", findings, "document")
    queries = _read_records(folder / "queries.jsonl", findings, "query")
    qrels = _read_qrels(folder / "qrels" / f"{split}.tsv", findings) if split else {}
    doc_texts = [f"{record.title or ''} {record.text or ''}".strip() for record in docs.values()]
    elsewhere = _judged_elsewhere(folder, split)
    findings += _corpus_findings(list(docs), doc_texts) + _judgment_findings(docs, queries, qrels, elsewhere)
    return Dataset(
        name=name,
        split=split,
        doc_ids=list(docs),
        doc_texts=doc_texts,
        query_ids=list(queries),
        query_texts=[(record.text or "").strip() for record in queries.values()],
        qrels=qrels,
        facts=facts,
        findings=tuple(findings),
        drop_self=drop_self,
    )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Non-blank lines of a UTF-8 file with their numbers, from 1."""
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                if text.strip():
                    yield number, text
    except FileNotFoundError:
        layout = "corpus.jsonl, queries.jsonl and qrels/<split>.tsv"
        raise DatasetError(f"{path}: no such file; a BEIR folder holds {layout}") from None
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}:{number}: not UTF-8 ({error.reason} at byte {error.start} of the line)") from None


def _read_records(path: Path, findings: list[Finding], kind: str) -> dict[str, _Record]:
    records: dict[str, _Record] = {}
    repeated: list[str] = []
    decoder = msgspec.json.Decoder(_Record)
    for number, line in _lines(path):
        try:
            record = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise DatasetError(f"{path}:{number}: {error}") from None
        key = str(record.id)
        if key in records:
            repeated.append(key)
        else:
            records[key] = record
    if not records:
        raise DatasetError(f"{path}: holds no {kind}")
    if repeated:
        message = f"{kind} ids stand more than once in {path.name}; the first of each is used"
        findings.append(Finding(code=f"repeated-{kind}-ids", message=message, count=len(repeated), first=repeated[0]))
    return records


def _read_qrels(path: Path, findings: list[Finding]) -> Qrels:
    qrels: Qrels = {}
    repeated: list[str] = []
    for place, (number, line) in enumerate(_lines(path)):
        fields = _fields(line)
        if place == 0 and not _is_number(fields[-1]):
            continue
        if place == 0:
            message = f"{path.name} has no header line ({' '.join(HEADER)}); its first line is read as a judgment"
            findings.append(Finding(code="qrels-without-header", message=message, count=1, first=line))
        query, doc, grade = _judgment(fields, f"{path}:{number}")
        judged = qrels.setdefault(query, {})
        if doc in judged:
            repeated.append(f"{query} {doc}")
        judged[doc] = max(grade, judged.get(doc, grade))
    if repeated:
        message = "judgments stand more than once; the highest grade of each is used"
        findings.append(Finding(code="repeated-judgments", message=message, count=len(repeated), first=repeated[0]))
    return qrels


def _fields(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _judgment(fields: list[str], where: str) -> tuple[str, str, int]:
    if len(fields) == 4:  # noqa: PLR2004 - trec_eval's layout: query, iteration, document, grade
        fields = [fields[0], *fields[2:]]
    if len(fields) != len(HEADER):
        raise DatasetError(f"{where}: {len(fields)} columns where {' '.join(HEADER)} belong")
    if not _is_number(fields[2]) or not float(fields[2]).is_integer():
        raise DatasetError(f"{where}: the grade {fields[2]!r} is not a whole number")
    return fields[0].strip(), fields[1].strip(), int(float(fields[2]))


def _corpus_findings(ids: list[str], texts: list[str]) -> list[Finding]:
    found = []
    empty = [key for key, text in zip(ids, texts, strict=True) if not text]
    if empty:
        message = "documents are empty; they are kept, and encoded as an empty text"
        found.append(Finding(code="empty-documents", message=message, count=len(empty), first=empty[0]))
    copies = Counter(texts)
    surplus = len(texts) - len(copies)
    if surplus:
        twin = next(text for text, count in copies.items() if count > 1)
        first = next(key for key, text in zip(ids, texts, strict=True) if text == twin)
        message = "documents repeat another one's text; each text is encoded once, and equal scores are ties"
        found.append(Finding(code="repeated-texts", message=message, count=surplus, first=first))
    return found


def _judged_elsewhere(folder: Path, split: str) -> set[str]:
    """Queries that another split judges; that this one does not is as it should be."""
    others = [path for path in (folder / "qrels").glob("*.tsv") if path.stem != split]
    return {_fields(line)[0].strip() for path in others for _, line in _lines(path)}


def _judgment_findings(
    docs: dict[str, Any], queries: dict[str, Any], qrels: Qrels, judged_elsewhere: set[str]
) -> list[Finding]:
    """What judgments and files say against each other; counts are of distinct queries or documents."""
    if not qrels:
        message = "no judgments: quality cannot be scored; load profiles and pairwise judging can"
        return [Finding(code="no-judgments", message=message, count=len(queries))]
    judged_docs = dict.fromkeys(doc for judged in qrels.values() for doc in judged)
    positive = {query for query, judged in qrels.items() if any(grade > 0 for grade in judged.values())}
    cases = {
        "missing-judged-queries": (
            [query for query in qrels if query not in queries],
            "judged queries are not in queries.jsonl; they are left out of the means",
        ),
        "missing-judged-documents": (
            [doc for doc in judged_docs if doc not in docs],
            "judged documents are not in corpus.jsonl; they count as relevant that no ranking can find",
        ),
        "unjudged-queries": (
            [query for query in queries if query not in qrels and query not in judged_elsewhere],
            "queries have no judgment; they are left out of the means",
        ),
        "queries-without-positive": (
            [query for query in qrels if query in queries and query not in positive],
            "judged queries have no relevant document; they are left out of the means",
        ),
        "negative-grades": (
            [query for query, judged in qrels.items() if any(grade < 0 for grade in judged.values())],
            "queries have grades below zero; these count as not relevant",
        ),
    }
    return [
        Finding(code=code, message=message, count=len(keys), first=keys[0])
        for code, (keys, message) in cases.items()
        if keys
    ]
