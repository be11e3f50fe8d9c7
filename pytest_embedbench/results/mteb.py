"""MTEB's result files, of all its versions: what they say, and the same as a result of ours.

They hold means only. What they do not say stays absent: no counts, no fingerprints, no rankings.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pytest_embedbench import catalog
from pytest_embedbench.core.measures import Measure
from pytest_embedbench.datasets.types import DatasetFacts
from pytest_embedbench.errors import ResultError
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.results.record import UNKNOWN_LANGUAGE
from pytest_embedbench.results.schema import UNSEEN, DatasetRecord, Details, ModelRecord, PairResult
from pytest_embedbench.results.store import NO_REVISION

META = "model_meta.json"
DEFAULT = "default"
"""MTEB's name for the only subset."""

_MEASURE = re.compile(r"(ndcg|map|recall|precision|mrr)_at_([1-9][0-9]*)")


class MtebScores(NamedTuple):
    """The scores of one model on one split and subset of a task; what a file does not say is empty."""

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
    """Has the file other splits of the same data too?"""

    @property
    def name(self) -> str:
        """The task, with its subset where there are several."""
        return self.task if self.subset == DEFAULT else f"{self.task} {self.subset}"


def read_scores(data: Any, path: Path) -> list[MtebScores] | None:
    """What a file's JSON says; None where it is of none of MTEB's forms.

    These are the result of one task, split at the top before version 1.11, and a list of rows with ``model``, ``task``
    and ``split``. Where the file does not name its model, ``model_meta.json`` beside it or the folders do.

    Raises:
        ResultError: the file has the marks of such a form and breaks it.
    """
    if isinstance(data, list) and data and all(isinstance(entry, dict) and "task" in entry for entry in data):
        found = [_row(entry) for entry in data]
    elif isinstance(data, dict) and ("mteb_dataset_name" in data or {"task_name", "scores"} <= data.keys()):
        found = list(_task(data, path))
    else:
        return None
    splits = {(one.model, one.revision, one.name, one.split) for one in found}
    count = Counter(key[:3] for key in splits)
    return [one._replace(several=count[one.model, one.revision, one.name] > 1) for one in found]


def values(scores: Mapping[str, Any]) -> dict[Measure, float]:
    """The retrieval measures among the scores; none of a task of another kind."""
    return {
        Measure(match[1], int(match[2])): float(value)
        for name, value in scores.items()
        if (match := _MEASURE.fullmatch(name)) and isinstance(value, int | float)
    }


def _row(entry: Mapping[str, Any]) -> MtebScores:
    return MtebScores(
        task=str(entry["task"]),
        split=str(entry.get("split") or ""),
        subset=str(entry.get("subset") or DEFAULT),
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
        found = list(_entries(data))
    except (AttributeError, TypeError):
        raise ResultError("is not an MTEB result: 'scores' must hold, for each split, a list of tables") from None
    for split, subset, scores in found:
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
    """Split, subset and scores; before version 1.11 both were keys, and subsets were left out where there is one."""
    if "scores" in data:
        for split, entries in data["scores"].items():
            yield from ((split, str(entry.get("hf_subset", DEFAULT)), entry) for entry in entries)
        return
    for split, scores in data.items():
        if isinstance(scores, dict):
            subsets = {name: inner for name, inner in scores.items() if isinstance(inner, dict)}
            yield from ((split, name, inner) for name, inner in (subsets or {DEFAULT: scores}).items())


def _day(date: object) -> str:
    """MTEB writes the time as seconds since 1970."""
    return datetime.fromtimestamp(date, UTC).date().isoformat() if isinstance(date, int | float) else ""


def _model(path: Path) -> tuple[str, str]:
    """Model and revision of ``<org>__<model>/<revision>/<task>.json``: by ``model_meta.json``, else by the folders."""
    meta = _meta(path)
    folders = list(path.resolve().parents)
    place = next((index for index, folder in enumerate(folders) if "__" in folder.name), None)
    name = "" if place is None else folders[place].name.replace("__", "/", 1)
    revision = folders[place - 1].name if place else ""
    return str(meta.get("name") or name), str(meta.get("revision") or revision)


def _meta(path: Path) -> dict[str, Any]:
    try:
        meta = json.loads((path.parent / META).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return meta if isinstance(meta, dict) else {}


# As a result of ours


def to_result(
    found: MtebScores, path: Path, *, model: str = "", datasets: Mapping[str, str] | None = None
) -> PairResult:
    """The same as a result of ours, which has means and nothing to recompute them from.

    Args:
        found: what the file says.
        path: the file, for messages and for ``model_meta.json`` beside it.
        model: the model's name where no file says it.
        datasets: what the dataset of a task is called; else the catalogue's name for it, else the task's.

    Raises:
        ResultError: nothing names the model, or a mean is not between 0 and 1.
    """
    name = found.model or model
    if not name:
        raise ResultError(f"{path}: nothing says which model this is of\n  fix: name it with --model")
    means = values(found.scores)
    for measure, value in means.items():
        if not (math.isfinite(value) and 0 <= value <= 1):
            raise ResultError(f"{path}: {found.split}: {measure.mteb_name} is {value}, not between 0 and 1")
    dataset = _dataset(found, datasets or {})
    version = f"MTEB {found.version}".strip()
    scores = {name: value for name, value in found.scores.items() if name != "evaluation_time"} | {
        "main_score": found.scores.get("main_score", found.scores.get("ndcg_at_10")),
        "hf_subset": found.subset,
        "languages": found.scores.get("languages") or dataset.facts.languages or UNKNOWN_LANGUAGE,
    }
    return PairResult(
        dataset_revision=found.dataset_revision,
        task_name=found.task,
        mteb_version=found.version or None,
        scores={found.split: [scores]},
        evaluation_time=found.seconds,
        embedbench=Details(
            origin=version,
            model=_record(name, found.revision, path),
            dataset=dataset,
            measured_on=found.day,
            means={str(measure): value for measure, value in means.items()},
        ),
    )


def _dataset(found: MtebScores, names: Mapping[str, str]) -> DatasetRecord:
    """Named as the suite would name it: ``@split`` where the file has several, and not for ``test``."""
    known = ((name, spec) for name, spec in catalog.datasets().items() if spec.mteb_task == found.name)
    alias, spec = next(known, (found.name, None))
    alias = names.get(found.name, alias)
    if found.several and found.split != "test":
        alias = f"{alias}@{found.split}"
    facts = spec.facts() if spec else DatasetFacts(mteb_task=found.task, languages=found.scores.get("languages") or [])
    identity = f"{UNSEEN}{found.name}/{found.split}@{found.dataset_revision}"
    return DatasetRecord(name=alias, split=found.split, fingerprint=identity, facts=facts)


def _record(name: str, revision: str, path: Path) -> ModelRecord:
    known = catalog.find(catalog.models(), name)
    alias, spec = known or (name, _spec(name, _meta(path)))
    revision = "" if revision == NO_REVISION else revision
    return ModelRecord(name=name, alias=alias, revision=revision, fingerprint="", spec=spec)


def _spec(name: str, meta: Mapping[str, Any]) -> ModelSpec:
    """What ``model_meta.json`` says of the model, as far as a card prints it; MTEB 2 writes all of it."""
    said = {
        "parameters": meta.get("n_parameters"),
        "dimensions": meta.get("embed_dim"),
        "max_tokens": meta.get("max_tokens"),
        "licence": meta.get("license"),
        "source": meta.get("reference"),
    }
    whole = {key: int(value) for key, value in said.items() if isinstance(value, int | float) and math.isfinite(value)}
    texts = {key: value for key, value in said.items() if isinstance(value, str) and key in {"licence", "source"}}
    return msgspec.convert({"name": name, **whole, **texts}, ModelSpec)
