"""Import runs of other tools: read as by trec_eval, scored like the project's own, stored as a result."""

from __future__ import annotations

import ctypes
import gzip
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pytest_embedbench import catalog
from pytest_embedbench.core.measures import Measure
from pytest_embedbench.core.runs import Run
from pytest_embedbench.datasets.types import Dataset, Finding
from pytest_embedbench.errors import ResultError
from pytest_embedbench.evaluate.metrics import Scores, score
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.results.record import dataset_record, with_scores
from pytest_embedbench.results.schema import Details, Evidence, ModelRecord, PairResult
from pytest_embedbench.results.store import Store

GZIP_MAGIC = b"\x1f\x8b"
"""First bytes of a gzipped file."""


@dataclass(frozen=True)
class ExternalRun:
    """A run of another tool, the tag of its first line, and findings about the file."""

    run: Run
    tag: str
    findings: tuple[Finding, ...]


def read_external(path: Path) -> ExternalRun:
    """Read a TREC run, gzipped or not: ``query Q0 document rank score tag``, separated by ASCII white space.

    As in trec_eval, the order comes from the scores, in 32 bits, and ids are taken as they are. If a document stands
    twice in a ranking, which trec_eval refuses, the better score counts.

    Raises:
        ResultError: the file cannot be read, or a line does not have this form; ``where`` has the line.
    """
    rankings: dict[str, dict[str, float]] = {}
    ranks: dict[str, list[tuple[int, float]]] = {}
    repeated: list[str] = []
    tag = ""
    for number, fields in _lines(path):
        try:
            query, _, doc, rank, text, name = (field.decode() for field in fields)
            value = ctypes.c_float(float(text)).value  # trec_eval compares scores as C floats
        except ValueError:  # a UnicodeDecodeError is one too
            value = math.nan
        if not math.isfinite(value):
            problem = "not a TREC run line (query Q0 document rank score tag)"
            raise ResultError(problem, where=f"{path}:{number}")
        tag = tag or name  # lines may have different tags; the first one counts
        ranking = rankings.setdefault(query, {})
        if doc in ranking:
            repeated.append(f"{query} {doc}")
        ranking[doc] = max(value, ranking.get(doc, value))
        if rank.isdecimal():  # some tools write no number here
            ranks.setdefault(query, []).append((int(rank), value))
    if not rankings:
        raise ResultError("holds no ranking", where=str(path))
    contrary = [query for query, ranked in ranks.items() if not _scores_fall(ranked)]
    cases = {
        "repeated-documents": (repeated, "documents stand more than once in a ranking; the better score counts"),
        "ranks-against-scores": (contrary, "queries have ranks that contradict the scores; the scores count"),
    }
    run = Run({query: list(ranking.items()) for query, ranking in rankings.items()})
    return ExternalRun(run, tag, tuple(_findings(cases)))


def _lines(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the number and the fields of each line that is not blank."""
    try:
        content = path.read_bytes()
        if content.startswith(GZIP_MAGIC):
            content = gzip.decompress(content)
    except (OSError, EOFError) as error:
        raise ResultError(f"cannot be read: {error}", where=str(path)) from None
    for number, line in enumerate(content.split(b"\n"), 1):
        if fields := line.split():
            yield number, fields


def _scores_fall(ranked: Sequence[tuple[int, float]]) -> bool:
    """Whether scores never rise as ranks rise; ``ranked`` has rank and score of each document."""
    scores = [value for _, value in sorted(ranked, key=lambda document: (document[0], -document[1]))]
    return all(first >= second for first, second in pairwise(scores))


def _findings(cases: dict[str, tuple[list[str], str]]) -> Iterator[Finding]:
    for code, (keys, message) in cases.items():
        if keys:
            yield Finding(code=code, message=message, count=len(keys), first=keys[0])


def compare_with_data(run: Run, dataset: Dataset, measures: Iterable[Measure]) -> list[Finding]:
    """Return findings on how run and data disagree; counts are of distinct queries or documents.

    Raises:
        ResultError: the run ranks none of the judged queries.
    """
    queries, docs = set(dataset.query_ids), set(dataset.doc_ids)
    scored = [query for query in dataset.judged_queries if query in set(run)]
    if not scored:
        first = f", the first is {dataset.judged_queries[0]!r}" if dataset.judged_queries else ""
        problem = (
            f"the run ranks none of the {len(dataset.judged_queries):,} judged queries of {dataset.name}{first}; the "
            f"run's first is {next(iter(run))!r}"
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
        run = run.without_self(max(len(run[query]) for query in run))
    counted = Run({query: run[query] for query in dataset.ranked_queries if query in set(run)})
    return counted, score(counted, dataset.qrels, dataset.judged_queries, measures)


def store_external(store: Store, name: str, source: str, dataset: Dataset, run: Run, scores: Scores) -> Path:
    """Store a scored run as a result with its evidence; return the result's path.

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
    alias, spec = catalog.find(catalog.models(), name) or (name, ModelSpec(name=name))
    record = ModelRecord(name=spec.name or name, alias=alias, revision="", fingerprint="", spec=spec)
    path = store.path(record, dataset.name)
    store.check_writable()
    keep_measured(store, path)
    blank = PairResult(
        dataset_revision=dataset.revision or dataset.fingerprint[:40],
        task_name=dataset.facts.mteb_task or dataset.name,
        embedbench=Details(
            origin=source,
            model=record,
            dataset=dataset_record(dataset),
            depth=max(len(run[query]) for query in run),
            evidence=Evidence(samples={}, **store.save_ranking(path, run, scores, record.name)),
        ),
    )
    store.save(path, with_scores(blank, scores, dataset))
    return path


def keep_measured(store: Store, path: Path) -> None:
    """Refuse to overwrite a result that was measured, not imported.

    Raises:
        ResultError: the result at ``path`` was measured.
    """
    earlier = store.load(path)
    if earlier and not earlier.embedbench.origin:
        raise ResultError(f"{path} was measured here, and is kept", fix="choose another folder with --out")
