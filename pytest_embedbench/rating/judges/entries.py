"""Read stored results with their rankings for judges to compare, grouped by dataset."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_embedbench.core.runs import Run
from pytest_embedbench.errors import ResultError
from pytest_embedbench.results.same_model import identity, weights
from pytest_embedbench.results.schema import DatasetRecord, Details, ModelRecord, PairResult
from pytest_embedbench.results.store import Store, read_per_query

if TYPE_CHECKING:
    from pytest_embedbench.evaluate.metrics import Scores

EVALUATE_AGAIN = "evaluate again"

MEAN_TOLERANCE = 1e-9
"""Largest difference of a stored mean from the mean of the stored values; only rounding is allowed."""


@dataclass(frozen=True)
class Entry:
    """One model on one dataset: the stored result, its run, its values by measure and query, and the result's file."""

    result: PairResult
    run: Run
    scores: Scores
    where: Path = Path()

    @property
    def model(self) -> str:
        return self.result.embedbench.model.alias

    @property
    def details(self) -> Details:
        return self.result.embedbench

    @property
    def record(self) -> ModelRecord:
        return self.result.embedbench.model

    @property
    def dataset(self) -> DatasetRecord:
        return self.result.embedbench.dataset

    @property
    def run_sha256(self) -> str:
        return self.result.embedbench.evidence.run_sha256

    def top(self, query: str, k: int) -> tuple[str, ...]:
        """Return the ids of the query's first ``k`` documents; none if its ranking is empty."""
        return tuple(doc for doc, _ in self.run.get(query, [])[:k])


def read_entries(folders: Iterable[Path]) -> list[Entry]:
    """Return every result below the folders, with its run and per-query values; one that is in two folders counts once.

    Raises:
        ResultError: a folder holds no result, or the evidence of a result is missing or was altered.
    """
    results: dict[Path, tuple[Path, PairResult]] = {}
    for folder in folders:
        stored = list(Store(folder).results())
        if not stored:
            raise ResultError("holds no results", where=str(folder))
        for path, result in stored:
            # By the resolved path: a folder may be given twice, or inside another.
            results.setdefault(path.resolve(), (path, result))
    return [with_evidence(path, result) for path, result in results.values()]


def with_evidence(path: Path, result: PairResult) -> Entry:
    """Return the stored result with its run and per-query values.

    Raises:
        ResultError: the evidence is missing or was altered.
    """
    evidence = result.embedbench.evidence
    if not evidence.run:  # nothing was ranked
        return Entry(result=result, run=Run({}), scores={}, where=path)
    run = Store(path.parent).load_run(path, result)
    if run is None:
        file = path.parent / evidence.run
        problem = "was altered: it is not the one" if file.is_file() else "is missing; it is the one"
        raise ResultError(f"{problem} that {path.name} speaks of", where=str(file), fix=EVALUATE_AGAIN)
    return Entry(result=result, run=run, scores=_scores(path, result), where=path)


def _scores(path: Path, result: PairResult) -> Scores:
    details = result.embedbench
    if not details.means:
        return {}
    file = path.parent / details.evidence.per_query
    scores = read_per_query(file)
    if scores is None:
        raise ResultError("is missing", where=str(file), fix=EVALUATE_AGAIN)
    for name, mean in details.means.items():
        values = scores.get(name, {}).values()
        if not values or abs(sum(values) / len(values) - mean) > MEAN_TOLERANCE:
            problem = f"was altered: its {name} is not the mean that {path.name} states"
            raise ResultError(problem, where=str(file), fix=EVALUATE_AGAIN)
    return scores


def by_dataset(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Return entries by the name of their dataset, datasets and models in the order of names.

    Datasets are told apart by their fingerprint: if results give different names to the same data, it is one dataset
    under the first of the names.

    Raises:
        ResultError: one name stands for different data or for different models, or a model has two results on the
            same data.
    """
    entries = sorted(entries, key=lambda entry: (entry.dataset.name, entry.model))
    models: dict[str, Entry] = {}
    names: dict[str, Entry] = {}
    groups: dict[str, dict[str, Entry]] = {}
    # Checked in this order: different data under one name, different models under one name, the same pair twice.
    for entry in entries:
        other = names.setdefault(entry.dataset.name, entry)
        if other.dataset.fingerprint != entry.dataset.fingerprint:
            problem = f"the data called {entry.dataset.name!r} differ between {_label(other)} and {_label(entry)}"
            raise ResultError(f"{problem}: they cannot be compared", fix="evaluate both models on the same files")
        other = models.setdefault(entry.model, entry)
        refuse_other_model(other, entry)
        group = groups.setdefault(entry.dataset.fingerprint, {})
        other = group.setdefault(entry.model, entry)
        if other is not entry:
            raise _twice(other, entry)
    return {next(iter(group.values())).dataset.name: list(_sorted(group)) for group in groups.values()}


def _sorted(group: dict[str, Entry]) -> list[Entry]:
    return [group[model] for model in sorted(group)]


def _label(entry: Entry) -> str:
    return f"{entry.model} ({entry.where})"


def refuse_other_model(first: Entry, second: Entry) -> None:
    """Refuse two results that have one name for the model and are of different ones, so that no rating mixes them.

    Raises:
        ResultError: their weights or settings differ; the message says which, where they lie, and what to do.
    """
    a, b = first.record, second.record
    if identity(a) == identity(b):
        return
    if a.name == b.name and weights(a) != weights(b) and a.revision != b.revision:
        states = " and ".join(
            f"{record.revision or 'no revision'} ({entry.where})" for record, entry in ((a, first), (b, second))
        )
        # Of imported numbers the weights are unknown.
        known = " with different weights" if a.fingerprint and b.fingerprint else ""
        problem = f"results of two revisions of {a.name}{known}: {states}"
        fix = f"move the folder of one of them away ({first.where.parent} or {second.where.parent})"
        both = "to rank both, define one under a name of its own in the suite, and evaluate it again"
        raise ResultError(problem, fix=f"{fix}; {both}")
    problem = f"two different models are called {first.model!r}: {_label(first)} and {_label(second)}"
    raise ResultError(problem, fix="give one of them another name in the suite, and evaluate it again")


def one_of_each(entries: Iterable[Entry]) -> tuple[list[Entry], list[str]]:
    """Return one result for each model and data, and notes on those that are left out.

    Of the same weights under two revisions, the result measured last counts.

    Raises:
        ResultError: one name stands for different models, or a model has two results of one revision that differ.
    """
    # Measured last, first; by path where that was on one day, so that the same files always give the same board.
    latest_first = sorted(entries, key=lambda entry: (entry.details.measured_on, str(entry.where)), reverse=True)
    models: dict[str, Entry] = {}
    kept: dict[tuple[str, str], Entry] = {}
    notes = []
    for entry in latest_first:
        refuse_other_model(models.setdefault(entry.model, entry), entry)
        other = kept.setdefault((entry.model, entry.dataset.fingerprint), entry)
        if other is entry:
            continue
        if other.record.revision == entry.record.revision and other.run_sha256 != entry.run_sha256:
            raise _twice(other, entry)
        revisions = " and ".join(dict.fromkeys(e.record.revision or "none" for e in (other, entry)))
        same = "the same ranking" if other.run_sha256 == entry.run_sha256 else "another ranking"
        notes.append(
            f"{entry.model} on {entry.dataset.name}: two results of the same weights (revision {revisions}): "
            f"{other.where} counts, {entry.where} has {same} and is left out"
        )
    # In the order of the results, so that nothing depends on days.
    ids = {id(entry) for entry in kept.values()}
    return sorted((entry for entry in latest_first if id(entry) in ids), key=lambda entry: str(entry.where)), notes


def _twice(first: Entry, second: Entry) -> ResultError:
    problem = f"model {first.model!r} has two results on the same data: {_label(first)} and {_label(second)}"
    return ResultError(problem, fix="give only one of them")


def sample_queries(queries: Sequence[str], count: int | None, seed: int, fingerprint: str) -> list[str]:
    """Return ``count`` of a dataset's queries (None: all), chosen by the seed, in their original order.

    A larger sample with the same seed contains the smaller one, so that judgments can be added later. The choice
    depends on the data's fingerprint, not on its name or on other datasets.
    """
    if count is None or count >= len(queries):
        return list(queries)
    shuffled = sorted(queries)  # so that the order of the file does not matter
    # A text as seed gives the same order in every process and on every Python; ``hash`` of a text would not.
    random.Random(f"{seed} {fingerprint}").shuffle(shuffled)
    chosen = set(shuffled[:count])
    return [query for query in queries if query in chosen]
