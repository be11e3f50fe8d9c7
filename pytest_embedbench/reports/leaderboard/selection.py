"""Select the results that enter a leaderboard: one state of each model, one load profile, the same data for all."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pytest_embedbench.errors import ConfigurationError, closest
from pytest_embedbench.load.notes import busy_note, overload_note
from pytest_embedbench.load.shape import parse_shape
from pytest_embedbench.load.statistics import ProfileResult, SideStatistics
from pytest_embedbench.machine.environment import short_hardware_name
from pytest_embedbench.results.same_model import weights
from pytest_embedbench.results.schema import Details, PairResult

MEASURE = "ndcg@10"
"""The measure that a leaderboard shows for quality."""


class Measured(NamedTuple):
    """A result and the file that it was read from."""

    path: Path
    result: PairResult

    @property
    def details(self) -> Details:
        return self.result.embedbench

    @property
    def model(self) -> str:
        """The model's name in judgments: its alias, which also tells variants of one checkpoint apart."""
        return self.details.model.alias or self.details.model.name


Chosen = dict[str, dict[str, Measured]]
"""model -> dataset -> its result"""


def choose_results(results: Iterable[tuple[Path, PairResult]]) -> tuple[Chosen, list[str]]:
    """Return one result for each model and dataset, and notes on the results that are left out.

    If a model has results of several revisions with different weights, only those of the revision measured last count,
    so that no row mixes two models.
    """
    by_model: dict[str, list[Measured]] = defaultdict(list)
    for path, result in results:
        measured = Measured(path, result)
        by_model[measured.model].append(measured)
    chosen: Chosen = {}
    notes = []
    for name, all_measured in sorted(by_model.items()):
        # Sorted by day, then by path: the last of several wins, and the same files always give the same board.
        ordered = sorted(all_measured, key=lambda measured: (measured.details.measured_on, str(measured.path)))
        last = _state(ordered[-1])
        chosen[name] = {measured.details.dataset.name: measured for measured in ordered if _state(measured) == last}
        if left_out := len(ordered) - len(chosen[name]):
            notes.append(
                f"{name}: {left_out} result(s) of another revision, or older ones of the same dataset, left out;"
                f" revision {ordered[-1].details.model.revision or 'unknown'} was measured last"
            )
    return chosen, notes


def _state(measured: Measured) -> str:
    return weights(measured.details.model)


def differing_datasets(chosen: Chosen) -> dict[str, str]:
    """Return a note for each dataset whose data is not the same for all models, so that its values do not compare."""
    fingerprints: dict[str, Counter[str]] = defaultdict(Counter)
    for by_dataset in chosen.values():
        for dataset, measured in by_dataset.items():
            fingerprints[dataset][measured.details.dataset.fingerprint] += 1
    return {
        dataset: f"{dataset}: models were measured on {len(counter)} different states of its data, so it enters no mean"
        for dataset, counter in sorted(fingerprints.items())
        if len(counter) > 1
    }


class Profile(NamedTuple):
    """A load on named hardware; latencies compare only within the same profile."""

    shape: str
    hardware: str

    @property
    def label(self) -> str:
        return f"{self.shape} on {self.hardware}"


def choose_profile(chosen: Chosen, wanted: str = "") -> tuple[Profile | None, list[str]]:
    """Return the profile to take latencies from, and a note on each model that has none under it.

    Of the profiles that fit ``wanted``, the one that most models have is chosen. A model that has not shown that it
    keeps up with an open loop's rate has no latency to compare.

    Args:
        chosen: the results.
        wanted: ``b1 c16`` or ``b1 r50``, or with hardware as cards write it, ``L4 b1 c16``; empty for any.

    Raises:
        ConfigurationError: the results have profiles, but none that fits.
    """
    tried: dict[Profile, set[str]] = defaultdict(set)
    models: dict[Profile, set[str]] = defaultdict(set)
    for name, by_dataset in chosen.items():
        for measured in by_dataset.values():
            for result in measured.details.profiles.values():
                profile = Profile(result.shape, result.hardware)
                # Tried even if the model does not keep up, so that a note can say why it has no latency.
                tried[profile].add(name)
                if not overload_note(result.query):
                    models[profile].add(name)
    fitting = [profile for profile in tried if not wanted or _fits(profile, wanted)]
    if not fitting:
        if tried:
            known = sorted({profile.shape for profile in tried})
            raise ConfigurationError("profile", f"no result has the load profile {wanted!r}", closest(wanted, known))
        return None, []
    # The profile itself breaks ties, so that the choice does not depend on the order of the results.
    best = min(fitting, key=lambda profile: (-len(models[profile]), profile))
    without = sorted(set().union(*tried.values()) - models[best])
    why = {name: "has not shown that it keeps up" if name in tried[best] else "was not measured" for name in without}
    notes = [f"{name}: no latency, since it {why[name]} with {best.label}" for name in without]
    return best, [*notes, *_busy_notes(chosen, best)]


def _busy_notes(chosen: Chosen, profile: Profile) -> Iterator[str]:
    """Yield a note for each latency that was measured on a busy machine."""
    for name, by_dataset in chosen.items():
        for dataset, measured in by_dataset.items():
            for result in measured.details.profiles.values():
                busy = busy_note(result.circumstances)
                if busy and Profile(result.shape, result.hardware) == profile:
                    yield f"{name} on {dataset}: its latency was measured while {busy}"


def _fits(profile: Profile, wanted: str) -> bool:
    try:
        return str(parse_shape(wanted)) == profile.shape
    except ValueError:  # not a shape alone
        return wanted in {profile.label, f"{short_hardware_name(profile.hardware)} {profile.shape}"}


def query_latency(details: Details, profile: Profile | None) -> SideStatistics | None:
    """Return the query side of ``profile``; None if this result lacks it or does not keep up with it."""
    results: Iterable[ProfileResult] = details.profiles.values() if profile else ()
    sides = (result.query for result in results if Profile(result.shape, result.hardware) == profile)
    return next((side for side in sides if not overload_note(side)), None)
