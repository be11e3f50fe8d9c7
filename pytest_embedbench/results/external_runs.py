"""Import runs of other tools: read them as trec_eval does, score them like the project's own, store them as results."""

from __future__ import annotations

import codecs
import ctypes
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from pytest_embedbench import catalog
from pytest_embedbench.core.measures import Measure
from pytest_embedbench.core.runs import Run
from pytest_embedbench.core.unpacking import GZIP_MAGIC, UNPACK_ERRORS, TooLargeError, gunzip
from pytest_embedbench.datasets.types import Dataset, Finding
from pytest_embedbench.errors import ResultError
from pytest_embedbench.evaluate.metrics import Scores, score
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.results.record import dataset_record, with_scores
from pytest_embedbench.results.reuse import refuse_other_names
from pytest_embedbench.results.schema import Details, Evidence, ModelRecord, PairResult
from pytest_embedbench.results.store import Store
from pytest_embedbench.results.trec import COLUMNS

MAX_RANK_DIGITS = 20
"""Digits of a rank; Python refuses to read thousands of them."""

FORM = "query Q0 document rank score tag"
"""Columns of a line."""


@dataclass(frozen=True)
class ExternalRun:
    """A run of another tool, the tag of its first line, and findings about the file."""

    run: Run
    tag: str
    findings: tuple[Finding, ...]


def read_external(path: Path) -> ExternalRun:
    """Read a TREC run, gzipped or not: ``query Q0 document rank score tag``, separated by ASCII white space.

    Lines are read as by trec_eval (``get_trec_results.c``): the order comes from the scores, in 32 bits, ties go by
    descending document id, ids are taken as they are, and words after the tag, blank lines and lines that begin with
    ``#`` are ignored. Other than trec_eval, a byte order mark is passed over, and a score that is not a number is an
    error instead of 0.

    Raises:
        ResultError: the file cannot be read, a line does not have this form, a score is not finite, or a document
            stands twice in a ranking; ``where`` has the line.
    """
    content = _content(path)
    rankings: dict[str, dict[str, float]] = {}
    ranks: dict[str, list[tuple[int, float, str]]] = {}
    lengthy: list[str] = []
    comments: list[str] = []
    tag = ""
    for number, line in _lines(content):
        if line.lstrip().startswith(b"#"):
            comments.append(f"line {number}")
            continue
        where = f"{path}:{number}"
        row = _row(line, where)
        tag = tag or row.tag  # lines may have different tags; the first one counts
        ranking = rankings.setdefault(row.query, {})
        if row.doc in ranking:
            problem = f"document {row.doc!r} stands twice in the ranking of query {row.query!r}"
            raise ResultError(problem, where=where, fix="keep the line that counts; trec_eval refuses the run too")
        ranking[row.doc] = row.score
        if row.rank.isdecimal() and len(row.rank) <= MAX_RANK_DIGITS:  # some tools write no number here
            ranks.setdefault(row.query, []).append((int(row.rank), row.score, row.doc))
        if row.more:
            lengthy.append(f"line {number}")
    if not rankings:
        fix = "write a line (query Q0 document rank score tag) for each document"
        raise ResultError("holds no ranking", where=str(path), fix=fix)
    contrary = [query for query, ranked in ranks.items() if not _scores_fall(ranked)]
    others = ranks.keys() - set(contrary)
    tied = [query for query, ranked in ranks.items() if query in others and not _ties_fall(ranked)]
    marked = [path.name] if content.startswith(codecs.BOM_UTF8) else []
    cases = {
        "ranks-against-scores": (contrary, "queries have ranks that contradict the scores; the scores count"),
        "ranks-against-ties": (
            tied,
            "queries have ranks that contradict how ties are ordered: by descending document id, as in trec_eval",
        ),
        "words-after-tag": (lengthy, "lines have words after the tag; they are ignored"),
        "comments": (comments, "lines begin with #; they are ignored as comments, as in trec_eval"),
        "byte-order-mark": (
            marked,
            "file begins with a byte order mark; trec_eval would take it for a part of the first query's id",
        ),
    }
    run = Run({query: list(ranking.items()) for query, ranking in rankings.items()})
    return ExternalRun(run, tag, tuple(_findings(cases)))


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        if content.startswith(GZIP_MAGIC):  # rather than by the name, which need not end in .gz
            content = gunzip(content)
    except TooLargeError as error:
        raise ResultError(str(error), where=str(path), fix=error.FIX) from None
    except (OSError, *UNPACK_ERRORS) as error:
        raise ResultError(f"cannot be read: {error}", where=str(path)) from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ResultError("is in UTF-16", where=str(path), fix="save it in UTF-8")
    return content


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each line that is not blank."""
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        if line.strip():
            yield number, line


class _Row(NamedTuple):
    """A line of a run; ``more`` tells whether words follow the tag."""

    query: str
    doc: str
    rank: str
    score: float
    tag: str
    more: bool


def _row(line: bytes, where: str) -> _Row:
    fields = line.split(maxsplit=COLUMNS)
    if len(fields) < COLUMNS:
        columns = f"has {len(fields)} columns"
        raise ResultError(f"not a TREC run line ({FORM}): it {columns}", where=where, fix=f"write {FORM}")
    more = len(fields) > COLUMNS
    if more and b"\r" in line.strip():
        problem = "the line holds carriage returns before its end, so that it may be several lines"
        raise ResultError(problem, where=where, fix="end each line with a line feed")
    try:
        query, _, doc, rank, text, tag = (field.decode() for field in fields[:COLUMNS])
    except UnicodeDecodeError:
        raise ResultError(
            f"not a TREC run line ({FORM}): it is not UTF-8", where=where, fix="save it in UTF-8"
        ) from None
    try:
        # trec_eval compares scores as C floats. Digit groups ("1_000") are Python's alone.
        score = ctypes.c_float(float(b"" if "_" in text else fields[4])).value
    except ValueError:
        problem = f"not a TREC run line ({FORM}): the score {text!r} is not a number"
        raise ResultError(problem, where=where, fix="give the score in the fifth column") from None
    if not math.isfinite(score):
        problem = f"not a TREC run line ({FORM}): the score {text!r} is not a finite number in 32 bits"
        raise ResultError(problem, where=where, fix="give the document a finite score, or leave out its line")
    return _Row(query, doc, rank, score, tag, more)


def _scores_fall(ranked: Sequence[tuple[int, float, str]]) -> bool:
    """Whether scores never rise as ranks rise; ``ranked`` has rank, score and id of each document."""
    # Documents with the same rank contradict nothing, so among them the higher score comes first.
    scores = [value for _, value, _ in sorted(ranked, key=lambda document: (document[0], -document[1]))]
    return all(first >= second for first, second in pairwise(scores))


def _ties_fall(ranked: Sequence[tuple[int, float, str]]) -> bool:
    """Whether ranks never fall as trec_eval goes through documents of the same score, by descending id."""
    order = sorted(ranked, key=itemgetter(1, 2), reverse=True)
    return all(first[0] <= second[0] for first, second in pairwise(order) if first[1] == second[1])


def _findings(cases: dict[str, tuple[list[str], str]]) -> Iterator[Finding]:
    for code, (keys, message) in cases.items():
        if keys:
            yield Finding(code=code, message=message, count=len(keys), first=keys[0])


def compare_with_data(run: Run, dataset: Dataset, measures: Iterable[Measure]) -> list[Finding]:
    """Return findings on how run and data disagree; counts are of distinct queries or documents.

    Raises:
        ResultError: the data cannot be scored, or the run ranks none of the judged queries.
    """
    problem, fix = dataset.why_unscored()
    if problem:
        raise ResultError(f"{dataset.name} cannot be scored: {problem}", fix=fix)
    queries, docs = set(dataset.query_ids), set(dataset.doc_ids)
    scored = [query for query in dataset.judged_queries if query in set(run)]
    if not scored:
        problem = (
            f"the run ranks none of the {len(dataset.judged_queries):,} judged queries of {dataset.name}, the first is "
            f"{dataset.judged_queries[0]!r}; the run's first is {next(iter(run))!r}"
        )
        raise ResultError(problem, fix="give the data that the run is of")
    longest = max(len(run[query]) for query in scored)
    deeper = [str(measure) for measure in measures if measure.k > longest]
    cases = {
        "unknown-queries": (
            [query for query in run if query not in queries],
            "queries of the run are not in queries.jsonl; they are left out",
        ),
        "missing-queries": (
            [query for query in dataset.judged_queries if query not in set(run)],
            "judged queries are not in the run; they score 0",
        ),
        "unknown-documents": (
            list(dict.fromkeys(doc for query in scored for doc, _ in run[query] if doc not in docs)),
            "documents of the run are not in corpus.jsonl; they count as not relevant",
        ),
        "short-rankings": (deeper, f"measures look deeper than the run, which has at most {longest} documents a query"),
    }
    return list(_findings(cases))


def score_external(run: Run, dataset: Dataset, measures: Sequence[Measure]) -> tuple[Run, Scores]:
    """Return the rankings that count and their values, as from ``trec_eval -c``: over all judged queries."""
    if dataset.drop_self:
        # The depth is the longest ranking, so that nothing but a query's own document is cut.
        run = run.without_self(max(len(run[query]) for query in run))
    counted = Run({query: run[query] for query in dataset.ranked_queries if query in set(run)})
    return counted, score(counted, dataset.qrels, dataset.judged_queries, measures)


def store_external(
    store: Store, name: str, source: str, dataset: Dataset, run: Run, scores: Scores
) -> tuple[Path, str]:
    """Store a scored run as a result with its evidence.

    Return the result's path, and where the result was from that it replaces; "" if there was none, or the same run.

    Args:
        store: where results are.
        name: the model's name, or an alias of the catalogue.
        source: where the run is from; stored as ``origin``.
        dataset: the data that the run ranks.
        run: the rankings that count, from ``score_external``.
        scores: their values.

    Raises:
        ResultError: a measured result has the same path, or the folder cannot be written.
    """
    # A model that the catalogue knows gets its facts on the card; its files were not here, so there is no fingerprint.
    alias, spec = catalog.find(catalog.models(), name) or (name, ModelSpec(name=name))
    record = ModelRecord(name=spec.name or name, alias=alias, revision="", fingerprint="", spec=spec)
    path = store.pair_path(record, dataset)
    store.check_writable()
    replaced = keep_measured(store, path, record.name, dataset.name)
    evidence = Evidence(samples={}, **store.save_ranking(path, run, scores, record.name))
    blank = PairResult(
        dataset_revision=dataset.revision or dataset.fingerprint[:40],
        task_name=dataset.facts.mteb_task or dataset.name,
        embedbench=Details(
            origin=source,
            model=record,
            dataset=dataset_record(dataset),
            depth=max(len(run[query]) for query in run),
            evidence=evidence,
        ),
    )
    store.save(path, with_scores(blank, scores, dataset))
    same = replaced and replaced.evidence.run_sha256 == evidence.run_sha256
    return path, replaced.origin if replaced and not same else ""


def keep_measured(store: Store, path: Path, model: str, dataset: str) -> Details | None:
    """Refuse to overwrite a result that was measured, not imported, or one of another model or dataset.

    Return the imported result that is there; None if there is none.

    Raises:
        ResultError: the result at ``path`` was measured, or has other names.
    """
    store.refuse_other_model(path, model)
    earlier = store.load(path)
    if earlier:
        refuse_other_names(path, earlier.embedbench, model, dataset)
    if earlier and not earlier.embedbench.origin:
        raise ResultError(f"{path} was measured here, and is kept", fix="choose another folder with --out")
    return earlier.embedbench if earlier else None
