"""Match the pairs of two sets of results (folders, files, baselines), for ``embedbench compare``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pytest_embedbench.core.decoding import DecodingError, decode_json
from pytest_embedbench.errors import ConfigurationError, ResultError, closest
from pytest_embedbench.results.baseline_source import BaselineSource
from pytest_embedbench.results.schema import UNSEEN
from pytest_embedbench.results.store import SCORE_AGAIN, Store, read_per_query

if TYPE_CHECKING:
    from pytest_embedbench.evaluate.metrics import Scores
    from pytest_embedbench.results.baseline import BaselineEntry
    from pytest_embedbench.results.schema import PairResult


class ResultSide(NamedTuple):
    """One pair in one of the two sets: its values by metric and query, and their source."""

    model: str
    alias: str
    dataset: str
    fingerprint: str
    """Fingerprint of the dataset."""
    scores: Scores
    """Empty if only means are known, as for published numbers."""
    origin: str
    means: Mapping[str, float]
    similarity: str = ""
    """The similarity by which documents were ranked; empty if unknown, as for published numbers and BM25."""


class MatchedPair(NamedTuple):
    """One dataset in both sets, with the models to compare."""

    a: ResultSide
    b: ResultSide

    @property
    def model(self) -> str:
        return self.a.model if self.a.model == self.b.model else f"{self.a.model} / {self.b.model}"

    @property
    def note(self) -> str:
        """What the two sides differ in beside the model, so that a reader knows what is compared; "" if in nothing."""
        before, now = self.a.similarity, self.b.similarity
        return f"ranked by {before} in A and by {now} in B" if before and now and before != now else ""


class UnmatchedPair(NamedTuple):
    """A pair that is not compared, and the reason."""

    model: str
    dataset: str
    reason: str
    other_data: bool = False
    means: Mapping[str, tuple[float, float]] = {}
    """Means of A and B by metric, if one side has only means, so that no significance can be tested."""


def read_side(text: str, where: str) -> list[ResultSide]:
    """Return every pair of a results folder (or a folder below it), a result file, a baseline or ``GIT-REF:PATH``.

    Args:
        text: the path or ``GIT-REF:PATH``, as the user wrote it.
        where: the argument's name, for messages.

    Raises:
        ConfigurationError: there is no result, or there are two results of one pair that differ.
        ResultError: a file is not a result of this package, or its per-query scores are missing.
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
    # A folder may hold several revisions of a model, and it must be clear which one is compared. Two with the same
    # values on the same data, as revisions of the same weights have, give the same comparison.
    seen: dict[tuple[str, str], ResultSide] = {}
    for side in sides:
        other = seen.setdefault((side.model, side.dataset), side)
        same = (other.fingerprint, other.scores, other.means) == (side.fingerprint, side.scores, side.means)
        if other is not side and not same:
            problem = f"two results of {side.model} on {side.dataset}: {other.origin} and {side.origin}"
            folders = f"{Path(other.origin).parent} or {Path(side.origin).parent}"
            raise ConfigurationError(where, problem, f"give the folder of one revision ({folders}), or one file")
    return list(seen.values())


def _is_baseline(path: Path) -> bool:
    try:
        return "pairs" in decode_json(path.read_bytes(), dict[str, msgspec.Raw])
    except DecodingError:
        return False  # it is read as a result instead, with an error that names the file


def _of_result(path: Path, result: PairResult) -> ResultSide:
    details = result.embedbench
    scores: Scores = {}
    if name := details.evidence.per_query:
        file = path.parent / name
        if (read := read_per_query(file)) is None:
            raise ResultError("is missing", where=str(file), fix=SCORE_AGAIN)
        scores = read
    return ResultSide(
        details.model.name,
        details.model.alias,
        details.dataset.name,
        details.dataset.fingerprint,
        scores,
        str(path),
        details.means,
        details.model.facts.similarity,
    )


def _of_entry(entry: BaselineEntry, origin: str) -> ResultSide:
    scores = {metric: entry.values(metric) for metric in entry.metrics} if entry.queries else {}
    similarity = entry.environment.get("similarity", "")
    return ResultSide(
        entry.name, entry.model, entry.dataset, entry.fingerprints.dataset, scores, origin, entry.means, similarity
    )


def match_sides(
    a: Sequence[ResultSide], b: Sequence[ResultSide], metrics: Iterable[str], models: Mapping[str, str]
) -> tuple[list[MatchedPair], list[UnmatchedPair]]:
    """Return the pairs that can be compared, and those that cannot: without a partner, or of other data.

    Args:
        a: the pairs of A.
        b: the pairs of B.
        metrics: the metrics to compare.
        models: model of A -> model of B to compare it with, by name or alias. If empty, models of the same name are
            compared; if each side has only one model, these two, whatever their names.

    Raises:
        ConfigurationError: ``models`` names a model that its side does not have.
    """
    partners = _partners(a, b, models)
    # ``pop`` takes each matched pair out of B; those that are left at the end are only in B.
    matched: list[MatchedPair] = []
    unmatched: list[UnmatchedPair] = []
    by_pair = {(side.model, side.dataset): side for side in b}
    for side in a:
        other = by_pair.pop((partners.get(side.model, ""), side.dataset), None)
        if other is None:
            unmatched.append(UnmatchedPair(side.model, side.dataset, "only in A"))
            continue
        both = MatchedPair(side, other)
        # Means alone are tried first: they are shown, although nothing can be tested.
        if means := _means(both, metrics):
            lacking = " and ".join(name for name, part in zip("AB", both, strict=True) if not part.scores)
            reason = f"{lacking} {'have' if ' ' in lacking else 'has'} means only, so nothing can be tested"
            unmatched.append(UnmatchedPair(both.model, side.dataset, reason, means=means))
        elif reason := _incomparable(both, metrics):
            unmatched.append(UnmatchedPair(both.model, side.dataset, reason, side.fingerprint != other.fingerprint))
        else:
            matched.append(both)
    return matched, unmatched + [UnmatchedPair(side.model, side.dataset, "only in B") for side in by_pair.values()]


def _partners(a: Sequence[ResultSide], b: Sequence[ResultSide], models: Mapping[str, str]) -> dict[str, str]:
    """Return model of A -> model of B, by full names."""
    if models:
        return {_full_name(in_a, a, "A"): _full_name(in_b, b, "B") for in_a, in_b in models.items()}
    models_a, models_b = {side.model for side in a}, {side.model for side in b}
    if len(models_a) == len(models_b) == 1:
        return {models_a.pop(): models_b.pop()}  # e.g. a checkpoint and its fine-tuned successor
    return {name: name for name in models_a & models_b}


def _full_name(name: str, sides: Sequence[ResultSide], which: str) -> str:
    # Full names come second, so that they win over another model's alias.
    known = {side.alias: side.model for side in sides} | {side.model: side.model for side in sides}
    if name not in known:
        raise ConfigurationError("--models", f"{which} has no model {name!r}", closest(name, known))
    return known[name]


def _means(both: MatchedPair, metrics: Iterable[str]) -> dict[str, tuple[float, float]]:
    """Return both means of each metric, if one side has only means and the data may be the same."""
    a, b = both
    # Data that was not available has no sha256: it may be the same as data that was measured here. Two fingerprints of
    # one kind that differ are of different data.
    unseen = [side.fingerprint.startswith(UNSEEN) for side in both]
    if (a.scores and b.scores) or (a.fingerprint != b.fingerprint and unseen[0] == unseen[1]):
        return {}
    return {
        metric: (a.means[metric], b.means[metric]) for metric in metrics if {metric} <= a.means.keys() & b.means.keys()
    }


def _incomparable(both: MatchedPair, metrics: Iterable[str]) -> str:
    """Return why the two cannot be compared; empty if they can."""
    if both.a.fingerprint != both.b.fingerprint:
        return f"other data: fingerprint {both.a.fingerprint[:16]} in A, {both.b.fingerprint[:16]} in B"
    for metric in metrics:
        sides = both.a.scores.get(metric, {}), both.b.scores.get(metric, {})
        if not all(sides):
            return f"no {metric} in {'B' if sides[0] else 'A'}"
        if sides[0].keys() != sides[1].keys():
            return "other queries, though the data is the same: a file was edited or cut"
    return ""
