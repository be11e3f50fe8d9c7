"""Read MTEB's result files, of all its versions, and convert them to results of this package.

MTEB's files hold only means. Everything else stays absent: counts, fingerprints, rankings.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pytest_embedbench import catalog
from pytest_embedbench.core.bounds import MAX_DEPTH
from pytest_embedbench.core.decoding import DecodingError, decode_loose_json
from pytest_embedbench.core.measures import Measure, cutoff
from pytest_embedbench.core.parsing import shortened
from pytest_embedbench.datasets.types import DatasetFacts
from pytest_embedbench.errors import ResultError
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.results.record import UNKNOWN_LANGUAGE
from pytest_embedbench.results.schema import UNSEEN, DatasetRecord, Details, ModelRecord, PairResult
from pytest_embedbench.results.store import META_FILE, NO_REVISION

ONLY_SUBSET = "default"
"""MTEB's name for the subset of a task that has only one."""

_MEASURE = re.compile(r"(ndcg|map|recall|precision|mrr)_at_([1-9][0-9]*)")


class MtebScores(NamedTuple):
    """The scores of one model on one split and subset of a task; fields that a file does not state are empty."""

    task: str
    split: str
    subset: str
    scores: Mapping[str, Any]
    model: str = ""
    revision: str = ""
    dataset_revision: str = ""
    version: str = ""
    seconds: float | None = None
    day: str = ""
    several: bool = False
    """Whether the file has other splits of the same data too."""

    @property
    def name(self) -> str:
        """The task, with its subset if there are several."""
        return self.task if self.subset == ONLY_SUBSET else f"{self.task} {self.subset}"


def read_scores(data: Any, path: Path) -> list[MtebScores] | None:
    """Return the scores in a file's JSON; None if it has none of MTEB's forms.

    The forms are the result of one task (before version 1.11 with the splits as top-level keys), and a list of rows
    with ``model``, ``task`` and ``split``. If the file does not name its model, ``model_meta.json`` beside it or the
    folders do.

    Raises:
        ResultError: the file has the marks of such a form but is malformed.
    """
    if isinstance(data, list) and data and all(isinstance(entry, dict) and "task" in entry for entry in data):
        entries = [_row(entry) for entry in data]
    elif isinstance(data, dict) and ("mteb_dataset_name" in data or {"task_name", "scores"} <= data.keys()):
        entries = list(_task(data, path))
    else:
        return None
    # Counted over distinct splits: a split may have several subsets.
    splits = {(entry.model, entry.revision, entry.name, entry.split) for entry in entries}
    count = Counter(key[:3] for key in splits)
    return [entry._replace(several=count[entry.model, entry.revision, entry.name] > 1) for entry in entries]


def measure_values(scores: Mapping[str, Any]) -> dict[Measure, float]:
    """Return the retrieval measures among the scores; none for a task of another kind.

    Raises:
        ResultError: a cut-off is above ``MAX_DEPTH``.
    """
    values = {}
    for name, value in scores.items():
        if (match := _MEASURE.fullmatch(name)) and isinstance(value, int | float):
            k = cutoff(match[2])
            if k is None:
                raise ResultError(f"the cut-off of {shortened(name)!r} is above {MAX_DEPTH:,}")
            values[Measure(match[1], k)] = _float(value)
    return values


def _float(value: float) -> float:
    """Return a number of JSON as a float; infinity for whole numbers that no float can hold."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _row(entry: Mapping[str, Any]) -> MtebScores:
    return MtebScores(
        task=str(entry["task"]),
        split=str(entry.get("split") or ""),
        subset=str(entry.get("subset") or ONLY_SUBSET),
        scores={name: value for name, value in entry.items() if name == "main_score" or _MEASURE.fullmatch(name)},
        model=str(entry.get("model") or ""),
        revision=str(entry.get("revision") or ""),
        dataset_revision=str(entry.get("dataset_revision") or ""),
        version=str(entry.get("mteb_version") or ""),
        seconds=entry.get("evaluation_time_s"),
    )


def _task(data: Mapping[str, Any], path: Path) -> Iterator[MtebScores]:
    model, revision = _model(path)
    try:
        entries = list(_entries(data))
    except (AttributeError, TypeError):
        raise ResultError("is not an MTEB result: 'scores' must hold, for each split, a list of tables") from None
    for split, subset, scores in entries:
        yield MtebScores(
            task=str(data.get("task_name", data.get("mteb_dataset_name"))),
            split=split,
            subset=subset,
            scores=scores,
            model=model,
            revision=revision,
            dataset_revision=str(data.get("dataset_revision") or ""),
            version=str(data.get("mteb_version") or ""),
            seconds=data.get("evaluation_time", scores.get("evaluation_time")),
            day=_day(data.get("date")),
        )


def _entries(data: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield split, subset and scores.

    Before version 1.11 splits and subsets were keys of nested tables, and a task's only subset was left out.
    """
    if "scores" in data:
        for split, entries in data["scores"].items():
            yield from ((split, str(entry.get("hf_subset", ONLY_SUBSET)), entry) for entry in entries)
        return
    for split, scores in data.items():
        if isinstance(scores, dict):
            subsets = {name: inner for name, inner in scores.items() if isinstance(inner, dict)}
            yield from ((split, name, inner) for name, inner in (subsets or {ONLY_SUBSET: scores}).items())


def _day(date: object) -> str:
    """Return the day of MTEB's time, which is in seconds since 1970; empty if there is none."""
    return datetime.fromtimestamp(date, UTC).date().isoformat() if isinstance(date, int | float) else ""


def _model(path: Path) -> tuple[str, str]:
    """Return the model and its revision, from ``model_meta.json`` or from ``<org>__<model>/<revision>/<task>.json``."""
    meta = _meta(path)
    # The nearest folder with "__" is the model's, the one inside it on the way to the file is the revision's.
    folders = list(path.resolve().parents)
    index = next((index for index, folder in enumerate(folders) if "__" in folder.name), None)
    name = "" if index is None else folders[index].name.replace("__", "/", 1)
    revision = folders[index - 1].name if index else ""
    return str(meta.get("name") or name), str(meta.get("revision") or revision)


def _meta(path: Path) -> dict[str, Any]:
    try:
        meta = decode_loose_json((path.parent / META_FILE).read_bytes())
    except (OSError, DecodingError):  # older versions of MTEB write no such file
        return {}
    return meta if isinstance(meta, dict) else {}


# Conversion to a result of this package


def to_result(
    entry: MtebScores, path: Path, *, model: str = "", datasets: Mapping[str, str] | None = None
) -> PairResult:
    """Return a result of this package; it has means, but nothing to recompute them from.

    Args:
        entry: the scores in the file.
        path: the file, for messages and for ``model_meta.json`` beside it.
        model: the model's name, used if no file names it.
        datasets: task -> name of its dataset; by default the catalogue's name, or else the task's.

    Raises:
        ResultError: the model has no name, or a mean is not between 0 and 1.
    """
    name = entry.model or model
    if not name:
        raise ResultError("does not say which model it is of", where=str(path), fix="name it with --model")
    means = measure_values(entry.scores)
    for measure, value in means.items():
        if not (math.isfinite(value) and 0 <= value <= 1):
            problem = f"{measure.mteb_name} is {value}, not between 0 and 1"
            raise ResultError(problem, where=f"{path}: {entry.split}")
    dataset = _dataset(entry, datasets or {})
    # The scores are written as MTEB 2 writes them, whatever the version of the file.
    version = f"MTEB {entry.version}".strip()
    scores = {name: value for name, value in entry.scores.items() if name != "evaluation_time"} | {
        "main_score": entry.scores.get("main_score", entry.scores.get("ndcg_at_10")),
        "hf_subset": entry.subset,
        "languages": entry.scores.get("languages") or dataset.facts.languages or UNKNOWN_LANGUAGE,
    }
    return PairResult(
        dataset_revision=entry.dataset_revision,
        task_name=entry.task,
        mteb_version=entry.version or None,
        scores={entry.split: [scores]},
        evaluation_time=entry.seconds,
        embedbench=Details(
            origin=version,
            model=_record(name, entry.revision, path),
            dataset=dataset,
            measured_on=entry.day,
            means={str(measure): value for measure, value in means.items()},
        ),
    )


def _dataset(entry: MtebScores, names: Mapping[str, str]) -> DatasetRecord:
    """Return the record, named as a suite would: with ``@split`` if the file has several, except for ``test``."""
    known = ((name, spec) for name, spec in catalog.datasets().items() if spec.mteb_task == entry.name)
    alias, spec = next(known, (entry.name, None))
    alias = names.get(entry.name, alias)
    if entry.several and entry.split != "test":
        alias = f"{alias}@{entry.split}"
    facts = spec.facts() if spec else DatasetFacts(mteb_task=entry.task, languages=entry.scores.get("languages") or [])
    identity = f"{UNSEEN}{entry.name}/{entry.split}@{entry.dataset_revision}"
    return DatasetRecord(name=alias, split=entry.split, fingerprint=identity, facts=facts)


def _record(name: str, revision: str, path: Path) -> ModelRecord:
    known = catalog.find(catalog.models(), name)
    alias, spec = known or (name, _spec(name, _meta(path)))
    revision = "" if revision == NO_REVISION else revision
    return ModelRecord(name=name, alias=alias, revision=revision, fingerprint="", spec=spec)


def _spec(name: str, meta: Mapping[str, Any]) -> ModelSpec:
    """Return the facts of ``model_meta.json`` that a card prints; MTEB 2 writes all of them."""
    # Values of other types are dropped rather than refused: max_tokens may be infinite, a licence missing.
    facts = {
        "parameters": meta.get("n_parameters"),
        "dimensions": meta.get("embed_dim"),
        "max_tokens": meta.get("max_tokens"),
        "licence": meta.get("license"),
        "source": meta.get("reference"),
    }
    numbers = {key: value for key, value in facts.items() if isinstance(value, int | float)}
    whole = {key: int(value) for key, value in numbers.items() if 0 < _float(value) < math.inf}
    texts = {key: value for key, value in facts.items() if isinstance(value, str) and key in {"licence", "source"}}
    fitting = {key: value for key, value in {**whole, **texts}.items() if _fits(key, value)}
    return msgspec.convert({"name": name, **fitting}, ModelSpec)


def _fits(key: str, value: object) -> bool:
    """Whether a definition may have this value, e.g. as many dimensions."""
    try:
        msgspec.convert({key: value}, ModelSpec)
    except msgspec.ValidationError:
        return False
    return True
