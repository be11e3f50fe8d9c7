"""What judges compare: stored results with their rankings, grouped by the data that they rank."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pytest_embedbench.core.runs import Run
from pytest_embedbench.errors import ResultError
from pytest_embedbench.results.schema import DatasetRecord, ModelRecord, PairResult
from pytest_embedbench.results.store import Store, parse_per_query

if TYPE_CHECKING:
    from pytest_embedbench.evaluate.metrics import Scores

ROUNDING = 1e-9
"""How far a stored mean may be from the mean of the stored values."""


@dataclass(frozen=True)
class Entry:
    """One model on one dataset: the stored result, its run, its values per measure and query."""

    result: PairResult
    run: Run
    scores: Scores
    where: Path = Path()

    @property
    def model(self) -> str:
        return self.result.embedbench.model.alias

    @property
    def dataset(self) -> DatasetRecord:
        return self.result.embedbench.dataset

    @property
    def run_sha256(self) -> str:
        return self.result.embedbench.evidence.run_sha256

    def top(self, query: str, k: int) -> tuple[str, ...]:
        """Ids of the query's first ``k`` documents; none where nothing was found."""
        return tuple(doc for doc, _ in self.run.get(query, [])[:k])


def read_entries(folders: Iterable[Path]) -> list[Entry]:
    """Every result below the folders, with its run and per-query values; a file met twice is read once.

    Raises:
        ResultError: a folder holds no result, or the evidence of one is missing or was altered.
    """
    results: dict[Path, tuple[Path, PairResult]] = {}
    for folder in folders:
        found = list(Store(folder).results())
        if not found:
            raise ResultError(f"{folder}: holds no results")
        for path, result in found:
            results.setdefault(path.resolve(), (path, result))
    return [with_evidence(path, result) for path, result in results.values()]


def with_evidence(path: Path, result: PairResult) -> Entry:
    """The stored result with its run and per-query values.

    Raises:
        ResultError: the evidence is missing or was altered.
    """
    evidence = result.embedbench.evidence
    if not evidence.run:  # nothing was ranked
        return Entry(result=result, run=Run({}), scores={}, where=path)
    run = Store(path.parent).load_run(path, result)
    if run is None:
        fault = (
            "was altered: it is not the one" if (path.parent / evidence.run).is_file() else "is missing; it is the one"
        )
        raise ResultError(f"{path.parent / evidence.run}: {fault} that {path.name} speaks of\n  fix: evaluate again")
    return Entry(result=result, run=run, scores=_scores(path, result), where=path)


def _scores(path: Path, result: PairResult) -> Scores:
    details = result.embedbench
    if not details.means:
        return {}
    file = path.parent / details.evidence.per_query
    try:
        scores = parse_per_query(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultError(f"{file}: cannot be read: {error.strerror}\n  fix: evaluate again") from None
    except (msgspec.DecodeError, ValueError, KeyError, AttributeError) as error:
        raise ResultError(f"{file}: holds no per-query values: {error}\n  fix: evaluate again") from None
    for name, mean in details.means.items():
        values = scores.get(name, {}).values()
        if not values or abs(sum(values) / len(values) - mean) > ROUNDING:
            fault = f"was altered: its {name} is not the mean that {path.name} states"
            raise ResultError(f"{file}: {fault}\n  fix: evaluate again")
    return scores


def by_dataset(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Entries by the name of their dataset, both in the order of names; each list holds each model once.

    What counts is the data's fingerprint: names that different results give to the same data are one dataset, under
    the first of the names.

    Raises:
        ResultError: one name stands for different data or different models, or a model is there twice.
    """
    entries = sorted(entries, key=lambda entry: (entry.dataset.name, entry.model))
    models: dict[str, Entry] = {}
    names: dict[str, Entry] = {}
    groups: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        other = names.setdefault(entry.dataset.name, entry)
        if other.dataset.fingerprint != entry.dataset.fingerprint:
            problem = f"the data called {entry.dataset.name!r} differ between {_place(other)} and {_place(entry)}"
            raise ResultError(f"{problem}: they cannot be compared\n  fix: evaluate both models on the same files")
        other = models.setdefault(entry.model, entry)
        if _identity(other.result.embedbench.model) != _identity(entry.result.embedbench.model):
            problem = f"two different models are called {entry.model!r}: {_place(other)} and {_place(entry)}"
            raise ResultError(f"{problem}\n  fix: give one of them another name in the suite, and evaluate it again")
        group = groups.setdefault(entry.dataset.fingerprint, {})
        other = group.setdefault(entry.model, entry)
        if other is not entry:
            problem = f"model {entry.model!r} has two results on the same data: {_place(other)} and {_place(entry)}"
            raise ResultError(f"{problem}\n  fix: give only one of them")
    return {next(iter(group.values())).dataset.name: list(_sorted(group)) for group in groups.values()}


def _sorted(group: dict[str, Entry]) -> list[Entry]:
    return [group[model] for model in sorted(group)]


def _place(entry: Entry) -> str:
    return f"{entry.model} ({entry.where})"


def _identity(record: ModelRecord) -> tuple[str | None, ...]:
    spec = record.spec
    return (record.name, record.revision, record.fingerprint, spec.query_prompt, spec.document_prompt)


def sample_queries(queries: Sequence[str], count: int | None, seed: int, fingerprint: str) -> list[str]:
    """``count`` of a dataset's queries (absent: all), chosen by the seed, in their own order.

    A larger sample with the same seed holds the smaller one, so that judgments can be added to later. The choice
    depends on the data, not on its name or on other datasets.
    """
    if count is None or count >= len(queries):
        return list(queries)
    shuffled = sorted(queries)
    random.Random(f"{seed} {fingerprint}").shuffle(shuffled)
    chosen = set(shuffled[:count])
    return [query for query in queries if query in chosen]
