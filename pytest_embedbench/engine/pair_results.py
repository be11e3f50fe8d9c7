"""Stored results of pairs: written after an evaluation, used again, and amended by measurements of load."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pytest_embedbench.core.runs import Run
from pytest_embedbench.engine.hardware import describe_environment, is_served, of_server, peak_memory_bytes
from pytest_embedbench.engine.pair_work import PairWork
from pytest_embedbench.evaluate.metrics import score
from pytest_embedbench.machine.environment import installed
from pytest_embedbench.results.record import dataset_record, with_scores
from pytest_embedbench.results.schema import Details, Evidence, PairResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from pytest_embedbench.core.measures import Measure
    from pytest_embedbench.datasets.types import Dataset
    from pytest_embedbench.engine.loader import Loader
    from pytest_embedbench.evaluate.evaluation import Evaluation
    from pytest_embedbench.models.spec import ModelSpec
    from pytest_embedbench.results.schema import ModelRecord
    from pytest_embedbench.results.store import Store

SCORE_LIBRARIES = ("pytest-embedbench", "pytrec_eval-terrier")
"""Libraries that compute means from a ranking."""


def reuse(
    store: Store,
    path: Path,
    stored: PairResult,
    run: Run,
    *,
    record: ModelRecord,
    dataset: Dataset,
    measures: Sequence[Measure],
) -> PairWork:
    """Score a stored ranking, under the names and with the facts that model and dataset have now.

    The result is written again only if something in it has changed, or its scores' file is not there.
    """
    scores = score(run, dataset.qrels, dataset.judged_queries, measures)
    details = msgspec.structs.replace(
        stored.embedbench,
        model=msgspec.structs.replace(record, facts=stored.embedbench.model.facts),
        dataset=dataset_record(dataset),
    )
    details = _with_server(details, record.spec)
    named = msgspec.structs.replace(stored, task_name=dataset.facts.mteb_task or dataset.name, embedbench=details)
    result = with_scores(named, scores, dataset)
    if result.embedbench.means != stored.embedbench.means and (environment := result.embedbench.environment):
        # These means are of today's libraries, whatever ranked then.
        current = {**environment.libraries, **installed(SCORE_LIBRARIES)}
        environment = msgspec.structs.replace(environment, libraries=current)
        result = msgspec.structs.replace(
            result, embedbench=msgspec.structs.replace(result.embedbench, environment=environment)
        )
    # An unchanged result is not written again, so that the file's time stays the time of its measurement.
    if result != stored or not (path.parent / stored.embedbench.evidence.per_query).is_file():
        store.save_ranking(path, run, scores, result.embedbench.model.name)
        store.save(path, result)
    return PairWork(path=path, result=result, run=run, scores=scores, dataset=dataset, reused=True)


class Destination(NamedTuple):
    """The file for a pair's result, the model's record in it, and the key that says what the ranking depends on.

    ``software`` is the part of the key that the environment of the result records.
    """

    path: Path
    record: ModelRecord
    key: str
    software: Mapping[str, str]


def save(
    store: Store,
    loader: Loader,
    destination: Destination,
    dataset: Dataset,
    evaluation: Evaluation,
    earlier: PairResult | None,
) -> PairWork:
    """Write the result of an evaluation.

    Loads measured earlier stay with it if ``earlier`` has the same key: they are of the same model and data.
    """
    unchanged = earlier.embedbench if earlier and earlier.embedbench.key == destination.key else None
    evidence = Evidence(
        samples=unchanged.evidence.samples if unchanged else {},
        **store.save_ranking(destination.path, evaluation.run, evaluation.scores, destination.record.name),
    )
    result, spec = _without_ranking(loader, destination, dataset), destination.record.spec
    details = msgspec.structs.replace(
        result.embedbench,
        depth=evaluation.depth,
        effort=evaluation.encode,
        load_seconds=None if is_served(spec) else loader.seconds,
        peak_memory_bytes=peak_memory_bytes(spec, loader.device),
        profiles=unchanged.profiles if unchanged else {},
        slowdowns=unchanged.slowdowns if unchanged else {},
        max_rates=unchanged.max_rates if unchanged else {},
        evidence=evidence,
    )
    result = msgspec.structs.replace(result, evaluation_time=evaluation.seconds, embedbench=details)
    result = with_scores(result, evaluation.scores, dataset)
    store.save(destination.path, result)
    return PairWork(
        path=destination.path,
        result=result,
        run=evaluation.run,
        scores=evaluation.scores,
        dataset=dataset,
        reused=False,
    )


def unranked(loader: Loader, destination: Destination, dataset: Dataset, stored: PairResult | None) -> PairWork:
    """Return a pair without its ranking, for measurements of load; nothing is written until one is there.

    The result is the stored one, if it has the same key.
    """
    if stored is None or stored.embedbench.key != destination.key:
        stored = _without_ranking(loader, destination, dataset)
    stored = msgspec.structs.replace(stored, embedbench=_with_server(stored.embedbench, destination.record.spec))
    return PairWork(path=destination.path, result=stored, run=Run({}), scores={}, dataset=dataset, reused=False)


def _without_ranking(loader: Loader, destination: Destination, dataset: Dataset) -> PairResult:
    """Return the result of a pair of which nothing has been measured."""
    details = Details(
        key=destination.key,
        model=destination.record,
        dataset=dataset_record(dataset),
        environment=describe_environment(destination.record.spec, loader.device, destination.software),
        measured_on=datetime.now(UTC).date().isoformat(),
    )
    return PairResult(
        # MTEB requires a revision. Local data has none: its fingerprint stands in, cut to a git hash's length.
        dataset_revision=dataset.revision or dataset.fingerprint[:40],
        task_name=dataset.facts.mteb_task or dataset.name,
        embedbench=details,
    )


def _with_server(details: Details, spec: ModelSpec) -> Details:
    """Return a stored result's details with what the definition of an endpoint says of its server now."""
    if not (details.environment and is_served(spec)):
        return details
    return msgspec.structs.replace(
        details,
        model=msgspec.structs.replace(details.model, spec=spec),
        environment=of_server(details.environment, spec),
    )


def amend(store: Store, work: PairWork, change: Callable[[Details], Details]) -> PairResult:
    """Change the stored result of a pair.

    It is read again first: since the evaluation, other checks or processes may have added to it. A stored result with
    another key is of something else, and is replaced.
    """
    with store.locked(work.path):
        stored = store.load(work.path)
        result = stored if stored and stored.embedbench.key == work.result.embedbench.key else work.result
        details = _with_server(change(result.embedbench), work.result.embedbench.model.spec)
        result = msgspec.structs.replace(result, embedbench=details)
        store.save(work.path, result)
    return result
