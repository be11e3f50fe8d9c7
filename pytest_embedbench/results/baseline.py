"""Read and write baselines: each pair's scores, committed to the user's repository, for later runs to compare with.

The file has one query a line in a stable order, so that a diff shows which queries changed. Scores are rounded to six
decimals, and so are the scores that are compared with them, so that an unchanged run differs by exactly zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pytest_embedbench.core.bounded import Amount, Count
from pytest_embedbench.core.decoding import DecodingError, decode_json
from pytest_embedbench.core.files import path_digest, write_atomically
from pytest_embedbench.core.locks import machine_locked
from pytest_embedbench.errors import BaselineError, ConfigurationError

if TYPE_CHECKING:
    from pytest_embedbench.core.runs import Run
    from pytest_embedbench.datasets.types import Qrels
    from pytest_embedbench.evaluate.metrics import Scores
    from pytest_embedbench.results.schema import PairResult

BASELINE_VERSION = 1
"""Version of the file's format; raised when the meaning of a field changes."""
SCORE_DECIMALS = 6
"""Decimals of every score in a baseline."""
_ENTRY_INDENT = "    "


class QueryRecord(msgspec.Struct, frozen=True, array_like=True):
    """One query: its scores in the order of the entry's metrics, and the top of its ranking.

    ``first`` is the id of the document ranked first. ``relevant`` is the id of the best ranked relevant document and
    ``rank`` its rank; empty and 0 if no relevant document was ranked.
    """

    scores: list[Amount]
    first: str = ""
    relevant: str = ""
    rank: Count = 0


class Fingerprints(msgspec.Struct, frozen=True, kw_only=True):
    """sha256 of the model's files and of the dataset."""

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
    """Other things that may change scores: number format, device, prompts, library versions."""
    metrics: list[str]
    means: dict[str, Amount]
    queries: dict[str, QueryRecord]
    """Empty if only means are known, as for published numbers."""

    def values(self, metric: str) -> dict[str, float]:
        """Return the values of one of the metrics by query."""
        column = self.metrics.index(metric)
        return {query: record.scores[column] for query, record in self.queries.items()}


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """A baseline file as a whole."""

    schema_version: int = BASELINE_VERSION
    pairs: list[BaselineEntry] = []

    def find(self, model: str, dataset: str) -> BaselineEntry | None:
        """Return the entry of a pair, by the suite's names; None if there is none."""
        return next((entry for entry in self.pairs if (entry.model, entry.dataset) == (model, dataset)), None)


class BestRelevant(NamedTuple):
    """The best ranked relevant document of a query; rank 0 if there is none."""

    doc: str = ""
    rank: int = 0


def best_relevant(run: Run, qrels: Qrels, query: str) -> BestRelevant:
    """Return the best ranked relevant document of the query."""
    grades = qrels.get(query, {})
    ranked = enumerate(run.get(query, []), 1)
    return next((BestRelevant(doc, rank) for rank, (doc, _) in ranked if grades.get(doc, 0) > 0), BestRelevant())


def entry_of(
    result: PairResult, scores: Scores, run: Run, qrels: Qrels, metrics: Iterable[str], names: tuple[str, str]
) -> BaselineEntry:
    """Return the entry of an evaluated pair; ``names`` are those of model and dataset in the suite."""
    details = result.embedbench
    # A metric without scores (no judged query) has no mean to compare.
    recorded = [metric for metric in metrics if scores.get(metric)]
    queries = {}
    for query in sorted(scores[recorded[0]]) if recorded else ():
        ranking = run.get(query, [])
        best = best_relevant(run, qrels, query)
        values = [round(scores[metric][query], SCORE_DECIMALS) for metric in recorded]
        queries[query] = QueryRecord(values, ranking[0][0] if ranking else "", best.doc, best.rank)
    return BaselineEntry(
        model=names[0],
        dataset=names[1],
        name=details.model.name,
        measured_on=details.measured_on,
        fingerprints=Fingerprints(model=details.model.fingerprint, dataset=details.dataset.fingerprint),
        environment=environment_of(result),
        metrics=recorded,
        # From the rounded scores, so that a reader of the file computes the same mean.
        means={metric: mean([record.scores[column] for record in queries.values()])
               for column, metric in enumerate(recorded)},
        queries=queries,
    )  # fmt: skip


def published_entry(result: PairResult) -> BaselineEntry:
    """Return the entry of a result that has only means, so that no significance can be tested against it."""
    details = result.embedbench
    return BaselineEntry(
        model=details.model.alias,
        dataset=details.dataset.name,
        name=details.model.name,
        measured_on=details.measured_on,
        fingerprints=Fingerprints(model=details.model.fingerprint, dataset=details.dataset.fingerprint),
        environment={"origin": details.origin},
        metrics=list(details.means),
        means={metric: round(value, SCORE_DECIMALS) for metric, value in details.means.items()},
        queries={},
    )


def mean(values: Sequence[float]) -> float:
    """Return the mean, rounded as a baseline's scores are."""
    # fsum is exact, so the order of the queries cannot change the last decimal.
    return round(math.fsum(values) / len(values), SCORE_DECIMALS)


def environment_of(result: PairResult) -> dict[str, str]:
    """Return facts other than the model's files and the data that may change scores, by name, without empty ones."""
    model, environment = result.embedbench.model, result.embedbench.environment
    facts = model.facts
    prompts = {f"{role} prompt": prompt for role, prompt in sorted(facts.prompts.items())}
    values: dict[str, Any] = {
        # A revision made from the files' fingerprint says nothing new: ``changes`` names changed files already.
        "revision": "" if model.revision.startswith("sha256-") else model.revision,
        "dtype": facts.dtype,
        "device": facts.device,
        "precision": facts.precision,
        "dimensions": facts.dimensions,
        "similarity": facts.similarity,
        "pooling": facts.pooling,
        "attention": facts.attention,
        "max tokens": facts.max_tokens,
        **prompts,
    }
    if environment:
        libraries = dict(sorted(environment.libraries.items()))
        values |= {"hardware": environment.hardware, "python": environment.python, **libraries}
    return {key: str(value) for key, value in values.items() if value not in {"", None}}


def changes(before: BaselineEntry, now: BaselineEntry) -> list[str]:
    """Return the differences between two entries other than scores, e.g. ``torch 2.4 -> 2.6``."""
    files = ["model files"] if before.fingerprints.model != now.fingerprints.model else []
    # A dict as an ordered set: facts of the old entry in their order, then those that only the new one has.
    keys = dict.fromkeys([*before.environment, *now.environment])
    sides = {key: (before.environment.get(key, "none"), now.environment.get(key, "none")) for key in keys}
    return files + [f"{key} {old} -> {new}" for key, (old, new) in sides.items() if old != new]


def parse_baseline(content: bytes | str, where: str, name: str) -> Baseline:
    """Read a baseline.

    Args:
        content: the file's content.
        where: the option or key that names the file.
        name: the file's name, for messages.

    Raises:
        ConfigurationError: the content is not a baseline, or has another version.
    """
    fix = "restore the committed file, or delete it and run pytest --embed-update-baseline"
    try:
        # The version first: a newer file may not fit the schema, and its error should say why.
        version = decode_json(content, _Version).schema_version
        if version != BASELINE_VERSION:
            problem = f"{name} has schema version {version}; this pytest-embedbench reads {BASELINE_VERSION}"
            upgrade = "upgrade pytest-embedbench" if version > BASELINE_VERSION else fix
            raise ConfigurationError(where, problem, upgrade)
        baseline = decode_json(content, Baseline)
    except DecodingError as error:
        raise ConfigurationError(where, f"{name} is not a baseline: {error}", fix) from None
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
    """Return the file's text: indented JSON with one line per query; pairs and queries are sorted by name."""
    pairs = sorted(baseline.pairs, key=lambda entry: (entry.model, entry.dataset))
    body = ",\n".join(_indented(_dump_entry(entry)) for entry in pairs)
    return f'{{\n  "schema_version": {baseline.schema_version},\n  "pairs": [\n{body}\n  ]\n}}\n'


def _dump_entry(entry: BaselineEntry) -> str:
    rest: Mapping[str, Any] = {key: value for key, value in msgspec.to_builtins(entry).items() if key != "queries"}
    # The indented head without its closing brace; behind it each query stands on one line, which msgspec cannot do.
    head = msgspec.json.format(msgspec.json.encode(rest), indent=2).decode().removesuffix("\n}")
    lines = ",\n".join(
        f"{_ENTRY_INDENT}{_json(query)}: {_json(entry.queries[query])}" for query in sorted(entry.queries)
    )
    return f'{head},\n  "queries": {{\n{lines}\n  }}\n}}'


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _indented(text: str) -> str:
    return "\n".join(_ENTRY_INDENT + line for line in text.split("\n"))  # JSON leaves other line separators as they are


def update_file(path: Path, entries: Sequence[BaselineEntry]) -> list[str]:
    """Put these entries into the file and keep all others; return lines that say what changed, and by how much.

    An entry that differs only in its day stays as it is, so that a repeated update leaves the file unchanged. Processes
    that update one file wait for each other, so that none loses the other's entries.

    Raises:
        ConfigurationError: the existing file is not a baseline.
        BaselineError: the file cannot be read or written.
        LockError: it cannot be locked.
    """
    with machine_locked(f"baseline-{path_digest(path)}.lock", "another process that writes the baseline"):
        return _update_file(path, entries)


def _update_file(path: Path, entries: Sequence[BaselineEntry]) -> list[str]:
    old = _read_file(path)
    pairs = {(entry.model, entry.dataset): entry for entry in old.pairs}
    lines = []
    for entry in entries:
        earlier = pairs.get((entry.model, entry.dataset))
        same = earlier and entry == msgspec.structs.replace(earlier, measured_on=entry.measured_on)
        if not same:
            pairs[entry.model, entry.dataset] = entry
        lines.append(f"{entry.model} on {entry.dataset}: {_change(earlier, entry)}")
    others = len(pairs) - len(entries)
    if others:
        lines.append(f"{others} other {'pair stays as it was' if others == 1 else 'pairs stay as they were'}")
    text = dump_baseline(Baseline(pairs=list(pairs.values())))
    try:
        # An unchanged file keeps its time stamp.
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            write_atomically(path, text)
    except OSError as error:
        raise BaselineError(f"cannot write the baseline: {error.strerror}", where=str(path)) from None
    return lines


def _read_file(path: Path) -> Baseline:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):  # the second one is reported when the file is written
        return Baseline()
    except OSError as error:
        raise BaselineError(f"cannot read the baseline: {error.strerror}", where=str(path)) from None
    return parse_baseline(content, "baseline", str(path))


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
