"""The baseline: what each pair scored, kept in the user's repository for later runs to be compared with.

The file has one query a line and a stable order, so that a diff shows which queries changed. Scores are rounded to six
decimals, and what is compared with them is rounded alike, so that an unchanged run differs by exactly zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pytest_embedbench.core.files import write_atomically
from pytest_embedbench.errors import BaselineError, ConfigurationError

if TYPE_CHECKING:
    from pytest_embedbench.core.runs import Run
    from pytest_embedbench.datasets.types import Qrels
    from pytest_embedbench.evaluate.metrics import Scores
    from pytest_embedbench.results.schema import PairResult

SCHEMA_VERSION = 1
DECIMALS = 6
INDENT = "    "


class QueryRecord(msgspec.Struct, frozen=True, array_like=True):
    """One query: its scores in the order of the entry's metrics, and what its ranking looked like.

    ``rank`` is where ``relevant``, its best placed relevant document, stood; 0 and "" where none was found.
    """

    scores: list[float]
    first: str = ""
    relevant: str = ""
    rank: int = 0


class Fingerprints(msgspec.Struct, frozen=True, kw_only=True):
    """sha256 of the model's files and of the data."""

    model: str
    dataset: str


class BaselineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One pair, under the names that the suite gives to model and dataset."""

    model: str
    dataset: str
    name: str
    """The model's ``org/model``."""
    measured_on: str = ""
    fingerprints: Fingerprints
    environment: dict[str, str] = {}
    """What else may move scores: number format, device, prompts, library versions."""
    metrics: list[str]
    means: dict[str, float]
    queries: dict[str, QueryRecord]
    """Empty where only means are known, as of published numbers."""

    def values(self, metric: str) -> dict[str, float]:
        """Value by query of one of the metrics."""
        column = self.metrics.index(metric)
        return {query: record.scores[column] for query, record in self.queries.items()}


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """A baseline file as a whole."""

    schema_version: int = SCHEMA_VERSION
    pairs: list[BaselineEntry] = []

    def find(self, model: str, dataset: str) -> BaselineEntry | None:
        return next((entry for entry in self.pairs if (entry.model, entry.dataset) == (model, dataset)), None)


class BestRelevant(NamedTuple):
    """The best placed relevant document of a ranking; rank 0 where there is none."""

    doc: str = ""
    rank: int = 0


def best_relevant(run: Run, qrels: Qrels, query: str) -> BestRelevant:
    grades = qrels.get(query, {})
    ranked = enumerate(run.get(query, []), 1)
    return next((BestRelevant(doc, rank) for rank, (doc, _) in ranked if grades.get(doc, 0) > 0), BestRelevant())


def entry_of(
    result: PairResult, scores: Scores, run: Run, qrels: Qrels, metrics: Iterable[str], names: tuple[str, str]
) -> BaselineEntry:
    """The entry of an evaluated pair; ``names`` are the model's and the dataset's in the suite."""
    details = result.embedbench
    recorded = [metric for metric in metrics if scores.get(metric)]
    queries = {}
    for query in sorted(scores[recorded[0]]) if recorded else ():
        ranking = run.get(query, [])
        best = best_relevant(run, qrels, query)
        values = [round(scores[metric][query], DECIMALS) for metric in recorded]
        queries[query] = QueryRecord(values, ranking[0][0] if ranking else "", best.doc, best.rank)
    return BaselineEntry(
        model=names[0],
        dataset=names[1],
        name=details.model.name,
        measured_on=details.measured_on,
        fingerprints=Fingerprints(model=details.model.fingerprint, dataset=details.dataset.fingerprint),
        environment=environment_of(result),
        metrics=recorded,
        means={metric: mean([record.scores[column] for record in queries.values()])
               for column, metric in enumerate(recorded)},
        queries=queries,
    )  # fmt: skip


def published_entry(result: PairResult) -> BaselineEntry:
    """The entry of a result that has means only; nothing can be tested against it."""
    details = result.embedbench
    return BaselineEntry(
        model=details.model.alias,
        dataset=details.dataset.name,
        name=details.model.name,
        measured_on=details.measured_on,
        fingerprints=Fingerprints(model=details.model.fingerprint, dataset=details.dataset.fingerprint),
        environment={"origin": details.origin},
        metrics=list(details.means),
        means={metric: round(value, DECIMALS) for metric, value in details.means.items()},
        queries={},
    )


def mean(values: Sequence[float]) -> float:
    return round(math.fsum(values) / len(values), DECIMALS)


def environment_of(result: PairResult) -> dict[str, str]:
    """What may move a pair's scores beside the model's files and the data, as flat text, empty values left out."""
    model, place = result.embedbench.model, result.embedbench.environment
    facts = model.facts
    prompts = {f"{role} prompt": prompt for role, prompt in sorted(facts.prompts.items())}
    found: dict[str, Any] = {
        "revision": "" if model.revision.startswith("sha256-") else model.revision,  # else the fingerprint again
        "dtype": facts.dtype,
        "device": facts.device,
        "precision": facts.precision,
        "dimensions": facts.dimensions,
        "pooling": facts.pooling,
        "attention": facts.attention,
        "max tokens": facts.max_tokens,
        **prompts,
    }
    if place:
        found |= {"hardware": place.hardware, "python": place.python, **dict(sorted(place.libraries.items()))}
    return {key: str(value) for key, value in found.items() if value not in {"", None}}


def changes(before: BaselineEntry, now: BaselineEntry) -> list[str]:
    """What differs between the two, apart from scores: ``torch 2.4 -> 2.6``."""
    files = ["model files"] if before.fingerprints.model != now.fingerprints.model else []
    keys = dict.fromkeys([*before.environment, *now.environment])
    sides = {key: (before.environment.get(key, "none"), now.environment.get(key, "none")) for key in keys}
    return files + [f"{key} {then} -> {here}" for key, (then, here) in sides.items() if then != here]


def parse_baseline(content: bytes | str, where: str, name: str) -> Baseline:
    """Read a baseline.

    Raises:
        ConfigurationError: it is not one, or of another version; ``where`` says who named it, ``name`` is the file's.
    """
    fix = "restore the committed file, or delete it and run pytest --embed-update-baseline"
    try:
        version = msgspec.json.decode(content, type=_Version).schema_version
        if version != SCHEMA_VERSION:
            problem = f"{name} has schema version {version}; this pytest-embedbench reads {SCHEMA_VERSION}"
            newer = "upgrade pytest-embedbench" if version > SCHEMA_VERSION else fix
            raise ConfigurationError(where, problem, newer)
        baseline = msgspec.json.decode(content, type=Baseline)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(where, f"{name} is no baseline: {error}", fix) from None
    for entry in baseline.pairs:
        for query, record in entry.queries.items():
            if len(record.scores) != len(entry.metrics):
                problem = f"{name} is damaged: {entry.model} on {entry.dataset}, query {query!r}: "
                problem += f"{len(record.scores)} scores for {len(entry.metrics)} metrics"
                raise ConfigurationError(where, problem, fix)
    return baseline


class _Version(msgspec.Struct):
    schema_version: int


def dump_baseline(baseline: Baseline) -> str:
    """The file's text: indented JSON, but each query on one line; pairs and queries in the order of their names."""
    pairs = sorted(baseline.pairs, key=lambda entry: (entry.model, entry.dataset))
    body = ",\n".join(_indented(_dump_entry(entry)) for entry in pairs)
    return f'{{\n  "schema_version": {baseline.schema_version},\n  "pairs": [\n{body}\n  ]\n}}\n'


def _dump_entry(entry: BaselineEntry) -> str:
    rest: Mapping[str, Any] = {key: value for key, value in msgspec.to_builtins(entry).items() if key != "queries"}
    head = msgspec.json.format(msgspec.json.encode(rest), indent=2).decode().removesuffix("\n}")
    lines = ",\n".join(f"{INDENT}{_json(query)}: {_json(entry.queries[query])}" for query in sorted(entry.queries))
    return f'{head},\n  "queries": {{\n{lines}\n  }}\n}}'


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _indented(text: str) -> str:
    return "\n".join(INDENT + line for line in text.split("\n"))  # JSON leaves other line separators as they are


def update_file(path: Path, entries: Sequence[BaselineEntry]) -> list[str]:
    """Put these entries into the file and keep the others; lines that say what changed, by how much.

    An entry that differs in nothing but its day stays as it is, so that updating again changes no file.

    Raises:
        ConfigurationError: the file that is there is no baseline.
        BaselineError: it cannot be written.
    """
    old = parse_baseline(path.read_bytes(), "baseline", str(path)) if path.exists() else Baseline()
    pairs = {(entry.model, entry.dataset): entry for entry in old.pairs}
    lines = []
    for entry in entries:
        earlier = pairs.get((entry.model, entry.dataset))
        same = earlier and entry == msgspec.structs.replace(earlier, measured_on=entry.measured_on)
        if not same:
            pairs[entry.model, entry.dataset] = entry
        lines.append(f"{entry.model} on {entry.dataset}: {_change(earlier, entry)}")
    kept = len(pairs) - len(entries)
    lines += [f"{kept} other {'pair stays as it was' if kept == 1 else 'pairs stay as they were'}"] if kept else []
    text = dump_baseline(Baseline(pairs=list(pairs.values())))
    try:
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)
    except OSError as error:
        raise BaselineError(f"{path}: cannot write the baseline: {error.strerror}") from None
    return lines


def _change(before: BaselineEntry | None, now: BaselineEntry) -> str:
    if before is None:
        return "new, " + ", ".join(f"{metric} {value:.4f}" for metric, value in now.means.items())
    parts = [_moved(metric, before.means.get(metric), value) for metric, value in now.means.items()]
    parts += [f"{metric} is gone" for metric in before.means if metric not in now.means]
    if before.fingerprints.dataset != now.fingerprints.dataset:
        parts.append("other data than before")
    return ", ".join([*parts, *changes(before, now)])


def _moved(metric: str, before: float | None, now: float) -> str:
    if before is None:
        return f"{metric} {now:.4f} is new"
    return (
        f"{metric} {now:.4f} as before"
        if now == before
        else f"{metric} {before:.4f} -> {now:.4f} ({now - before:+.4f})"
    )
