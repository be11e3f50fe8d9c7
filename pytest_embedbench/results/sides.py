"""The two sides of ``embedbench compare``: results folders, result files, baselines; what they have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pytest_embedbench.errors import ConfigurationError, ResultError, closest
from pytest_embedbench.results.baseline_source import BaselineSource
from pytest_embedbench.results.schema import UNSEEN
from pytest_embedbench.results.store import Store, parse_per_query

if TYPE_CHECKING:
    from pytest_embedbench.evaluate.metrics import Scores
    from pytest_embedbench.results.baseline import BaselineEntry
    from pytest_embedbench.results.schema import PairResult


class Side(NamedTuple):
    """One pair's values by metric and query, and where they are from."""

    model: str
    alias: str
    dataset: str
    fingerprint: str
    """Of the data."""
    scores: Scores
    """Empty where only means are known, as of published numbers."""
    origin: str
    means: Mapping[str, float]


class Match(NamedTuple):
    """The same dataset on both sides, with the models to compare."""

    a: Side
    b: Side

    @property
    def model(self) -> str:
        return self.a.model if self.a.model == self.b.model else f"{self.a.model} / {self.b.model}"


class Unmatched(NamedTuple):
    """What is not compared, and why."""

    model: str
    dataset: str
    reason: str
    other_data: bool = False
    means: Mapping[str, tuple[float, float]] = {}
    """Where a side has means only, both sides' by metric: they differ or not, but nothing can be tested."""


def read_side(text: str, where: str) -> list[Side]:
    """Every pair of a results folder (or one below it), a result file, a baseline or ``GIT-REF:PATH``.

    Raises:
        ConfigurationError: there is nothing, or two results of one pair.
        ResultError: a file is none of ours, or its per-query scores are missing.
    """
    path = Path(text)
    if path.is_dir():
        store = Store(path)
        sides = [_of_result(file, result) for file, result in store.results()]
    elif path.is_file() and not _is_baseline(path):
        result = Store(path.parent).load(path)
        sides = [_of_result(path, result)] if result else []
    else:
        sides = [_of_entry(entry, text) for entry in BaselineSource(text, Path(), where).read().pairs]
    if not sides:
        raise ConfigurationError(where, f"{text} holds no results", "give a results folder, a result or a baseline")
    seen: dict[tuple[str, str], Side] = {}
    for side in sides:
        if other := seen.get((side.model, side.dataset)):
            problem = f"two results of {side.model} on {side.dataset}: {other.origin} and {side.origin}"
            raise ConfigurationError(where, problem, "give the folder of one revision, or one file")
        seen[side.model, side.dataset] = side
    return sides


def _is_baseline(path: Path) -> bool:
    try:
        return "pairs" in msgspec.json.decode(path.read_bytes(), type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False  # then it is read as a result, whose error names the file


def _of_result(path: Path, result: PairResult) -> Side:
    details = result.embedbench
    scores: Scores = {}
    if name := details.evidence.per_query:
        try:
            scores = parse_per_query((path.parent / name).read_text(encoding="utf-8"))
        except OSError as error:
            fix = "run the pair again: its stored ranking is used"
            raise ResultError(f"{path.parent / name}: cannot be read: {error.strerror}\n  fix: {fix}") from None
    return Side(
        details.model.name,
        details.model.alias,
        details.dataset.name,
        details.dataset.fingerprint,
        scores,
        str(path),
        details.means,
    )


def _of_entry(entry: BaselineEntry, origin: str) -> Side:
    scores = {metric: entry.values(metric) for metric in entry.metrics} if entry.queries else {}
    return Side(entry.name, entry.model, entry.dataset, entry.fingerprints.dataset, scores, origin, entry.means)


def match(
    a: Sequence[Side], b: Sequence[Side], metrics: Iterable[str], models: Mapping[str, str]
) -> tuple[list[Match], list[Unmatched]]:
    """Pairs of the same dataset and model on both sides, and what has no partner or other data.

    ``models`` says which model of A is compared with which one of B, by name or alias. Without it, one model on each
    side is compared whatever the names, and else those of the same name.

    Raises:
        ConfigurationError: ``models`` names one that is not there.
    """
    partners = _partners(a, b, models)
    found: list[Match] = []
    left: list[Unmatched] = []
    by_pair = {(side.model, side.dataset): side for side in b}
    for side in a:
        other = by_pair.pop((partners.get(side.model, ""), side.dataset), None)
        if other is None:
            left.append(Unmatched(side.model, side.dataset, "only in A"))
            continue
        both = Match(side, other)
        if means := _means(both, metrics):
            lacking = " and ".join(which for which, one in zip("AB", both, strict=True) if not one.scores)
            reason = f"{lacking} {'have' if ' ' in lacking else 'has'} means only, so nothing can be tested"
            left.append(Unmatched(both.model, side.dataset, reason, means=means))
        elif reason := _incomparable(both, metrics):
            left.append(Unmatched(both.model, side.dataset, reason, side.fingerprint != other.fingerprint))
        else:
            found.append(both)
    return found, left + [Unmatched(side.model, side.dataset, "only in B") for side in by_pair.values()]


def _partners(a: Sequence[Side], b: Sequence[Side], models: Mapping[str, str]) -> dict[str, str]:
    """Model of A -> model of B, by full names."""
    if models:
        return {_named(mine, a, "A"): _named(theirs, b, "B") for mine, theirs in models.items()}
    in_a, in_b = {side.model for side in a}, {side.model for side in b}
    if len(in_a) == len(in_b) == 1:
        return {in_a.pop(): in_b.pop()}
    return {name: name for name in in_a & in_b}


def _named(name: str, sides: Sequence[Side], which: str) -> str:
    known = {side.alias: side.model for side in sides} | {side.model: side.model for side in sides}
    if name not in known:
        raise ConfigurationError("--models", f"{which} has no model {name!r}", closest(name, known))
    return known[name]


def _means(both: Match, metrics: Iterable[str]) -> dict[str, tuple[float, float]]:
    """Both means of each metric, where one side has nothing else and the data may be the same."""
    a, b = both
    unseen = [one.fingerprint.startswith(UNSEEN) for one in both]
    if (a.scores and b.scores) or (a.fingerprint != b.fingerprint and unseen[0] == unseen[1]):
        return {}
    return {
        metric: (a.means[metric], b.means[metric]) for metric in metrics if {metric} <= a.means.keys() & b.means.keys()
    }


def _incomparable(both: Match, metrics: Iterable[str]) -> str:
    if both.a.fingerprint != both.b.fingerprint:
        return f"other data: fingerprint {both.a.fingerprint[:16]} in A, {both.b.fingerprint[:16]} in B"
    for metric in metrics:
        sides = both.a.scores.get(metric, {}), both.b.scores.get(metric, {})
        if not all(sides):
            return f"no {metric} in {'B' if sides[0] else 'A'}"
        if sides[0].keys() != sides[1].keys():
            return "other queries, though the data is the same: a file was edited or cut"
    return ""
