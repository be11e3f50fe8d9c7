"""Which results enter a leaderboard: one state of each model, one load profile, data that is the same for all."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from pytest_embedbench.errors import ConfigurationError, ResultError, closest
from pytest_embedbench.load.notes import overload_note
from pytest_embedbench.load.shape import parse_shape
from pytest_embedbench.load.statistics import ProfileResult, SideStatistics
from pytest_embedbench.machine.environment import short_hardware_name
from pytest_embedbench.reports.leaderboard.facts import Source
from pytest_embedbench.results.schema import Details, PairResult
from pytest_embedbench.results.store import Store, parse_per_query


class Measured(NamedTuple):
    """A result and the file that it was read from."""

    path: Path
    result: PairResult

    @property
    def details(self) -> Details:
        return self.result.embedbench

    @property
    def model(self) -> str:
        """What judgments call it: its alias, which also tells variants of one checkpoint apart."""
        return self.details.model.alias or self.details.model.name


Chosen = dict[str, dict[str, Measured]]
"""model -> dataset -> its result"""


def choose(results: Iterable[tuple[Path, PairResult]]) -> tuple[Chosen, list[str]]:
    """One result for each model and dataset, and notes on those left out.

    A model is one state of its files: where results of several revisions are there, those of the one measured last
    count, so that no row mixes two models.
    """
    by_model: dict[str, list[Measured]] = defaultdict(list)
    for path, result in results:
        measured = Measured(path, result)
        by_model[measured.model].append(measured)
    chosen: Chosen = {}
    notes = []
    for name, all_measured in sorted(by_model.items()):
        # by day, then by path: the last of several wins, and the same files always give the same board
        ordered = sorted(all_measured, key=lambda one: (one.details.measured_on, str(one.path)))
        last = _state(ordered[-1])
        chosen[name] = {one.details.dataset.name: one for one in ordered if _state(one) == last}
        if left := len(ordered) - len(chosen[name]):
            notes.append(
                f"{name}: {left} result(s) of another revision, or older ones of the same dataset, left out;"
                f" revision {last[0] or 'unknown'} was measured last"
            )
    return chosen, notes


def _state(measured: Measured) -> tuple[str, str]:
    model = measured.details.model
    return model.revision, model.fingerprint


def differing(chosen: Chosen) -> dict[str, str]:
    """Datasets whose data is not the same for all models, each with a note: their values do not compare."""
    prints: dict[str, Counter[str]] = defaultdict(Counter)
    for by_dataset in chosen.values():
        for dataset, measured in by_dataset.items():
            prints[dataset][measured.details.dataset.fingerprint] += 1
    return {
        dataset: f"{dataset}: models were measured on {len(counter)} different states of its data, so it enters no mean"
        for dataset, counter in sorted(prints.items())
        if len(counter) > 1
    }


class Profile(NamedTuple):
    """A load on named hardware; only latencies of the same profile compare."""

    shape: str
    hardware: str

    @property
    def label(self) -> str:
        return f"{self.shape} on {self.hardware}"


def choose_profile(chosen: Chosen, wanted: str = "") -> tuple[Profile | None, list[str]]:
    """The profile that latencies are taken from: of those that fit ``wanted``, the one that most models have.

    One that has not shown that it keeps up with an open loop's rate has no latency to compare.

    Args:
        chosen: the results.
        wanted: ``b1 c16`` or ``b1 r50``, or with hardware as cards write it, ``L4 b1 c16``; empty: any.

    Raises:
        ConfigurationError: results have profiles, but none that fits.
    """
    tried: dict[Profile, set[str]] = defaultdict(set)
    models: dict[Profile, set[str]] = defaultdict(set)
    for name, by_dataset in chosen.items():
        for measured in by_dataset.values():
            for result in measured.details.profiles.values():
                profile = Profile(result.shape, result.hardware)
                tried[profile].add(name)
                if not overload_note(result.query):
                    models[profile].add(name)
    fitting = [profile for profile in tried if not wanted or _fits(profile, wanted)]
    if not fitting:
        if tried:
            known = sorted({profile.shape for profile in tried})
            raise ConfigurationError("profile", f"no result has the load profile {wanted!r}", closest(wanted, known))
        return None, []
    best = min(fitting, key=lambda profile: (-len(models[profile]), profile))
    left = sorted(set().union(*tried.values()) - models[best])
    why = {name: "has not shown that it keeps up" if name in tried[best] else "was not measured" for name in left}
    return best, [f"{name}: no latency, since it {why[name]} with {best.label}" for name in left]


def _fits(profile: Profile, wanted: str) -> bool:
    try:
        return str(parse_shape(wanted)) == profile.shape
    except ValueError:
        return wanted in {profile.label, f"{short_hardware_name(profile.hardware)} {profile.shape}"}


def latency(details: Details, profile: Profile | None) -> SideStatistics | None:
    """The query side of the profile, where this result has it and keeps up with it."""
    found: Iterable[ProfileResult] = details.profiles.values() if profile else ()
    sides = (one.query for one in found if Profile(one.shape, one.hardware) == profile)
    return next((side for side in sides if not overload_note(side)), None)


def list_sources(chosen: Chosen) -> tuple[Source, ...]:
    """The files that numbers come from, relative to the folder that holds them all."""
    all_measured = [measured for _, by_dataset in sorted(chosen.items()) for _, measured in sorted(by_dataset.items())]
    root = _common_folder([measured.path for measured in all_measured])
    return tuple(_source(measured, root) for measured in all_measured)


def _common_folder(paths: Sequence[Path]) -> Path:
    """The results folder: the folder above ``<model>/<revision>``, where all results are of one model too."""
    return Path(os.path.commonpath([path.absolute().parent.parent.parent for path in paths])) if paths else Path()


def _source(measured: Measured, root: Path) -> Source:
    details = measured.details
    evidence = details.evidence
    samples: Iterable[Mapping[str, str]] = evidence.samples.values()
    files = [evidence.run, evidence.per_query, *(file for sides in samples for file in sides.values())]
    return Source(
        model=measured.model,
        revision=details.model.revision,
        fingerprint=details.model.fingerprint,
        dataset=details.dataset.name,
        dataset_fingerprint=details.dataset.fingerprint,
        file=measured.path.absolute().relative_to(root).as_posix(),
        evidence=tuple(file for file in files if file),
        run_sha256=evidence.run_sha256,
        measured_on=details.measured_on,
        environment=details.environment,
    )


MEASURE = "ndcg@10"


class Rankings:
    """Per-query nDCG@10 and first documents of every model and dataset; empty where a file is missing."""

    def __init__(self, chosen: Chosen) -> None:
        self._chosen = chosen
        self.values = cache(self._values)
        self.tops = cache(self._tops)

    def _values(self, model: str, dataset: str) -> dict[str, float]:
        """Query id -> nDCG@10.

        Raises:
            ResultError: the file is there and is not what it should be.
        """
        measured = self._chosen.get(model, {}).get(dataset)
        if measured is None or not (name := measured.details.evidence.per_query):
            return {}
        path = measured.path.parent / name
        try:
            return parse_per_query(path.read_text(encoding="utf-8")).get(MEASURE, {})
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, msgspec.MsgspecError) as error:
            raise ResultError(f"{path}: no per-query scores: {error}\n  fix: run the evaluation again") from None

    def _tops(self, model: str, dataset: str) -> dict[str, str]:
        """Query id -> id of the document ranked first."""
        measured = self._chosen.get(model, {}).get(dataset)
        run = Store(measured.path.parent).load_run(measured.path, measured.result) if measured else None
        return {query: run[query][0][0] for query in run if run[query]} if run is not None else {}
