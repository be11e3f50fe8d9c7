"""Read the latency samples behind a result's profiles and rate searches from the CSV files beside it."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from pytest_embedbench.errors import ResultError
from pytest_embedbench.load.shape import Shape, parse_shape, shape_order
from pytest_embedbench.results.schema import PairResult


class SampledSide(NamedTuple):
    """One side of a profile: its latencies (milliseconds, sorted) and its texts answered per second of wall time."""

    name: str
    latencies_ms: list[float]
    texts_per_s: float


class SampledProfile(NamedTuple):
    """A profile's shape and its two sides, queries first."""

    shape: Shape
    sides: list[SampledSide]


class SampledRate(NamedTuple):
    """A rate (requests per second) that a search tried, and its latencies (milliseconds, sorted)."""

    rate: float
    latencies_ms: list[float]


class RateSearch(NamedTuple):
    """A search for the highest rate.

    ``name`` is its key in the result, ``slug`` the part of its file's name; ``limit_ms`` bounds p99, ``highest`` is
    the highest rate that held, ``tried`` has every rate, lowest first.
    """

    name: str
    slug: str
    limit_ms: float
    highest: float
    tried: list[SampledRate]


def sampled_profiles(path: Path, result: PairResult) -> Iterator[SampledProfile]:
    """Yield the profiles of the result at ``path`` in their shapes' order; a profile without its files is left out.

    Raises:
        ResultError: a file has no latency samples; ``where`` names it.
    """
    samples = result.embedbench.evidence.samples
    profiles = {parse_shape(name): files for name, files in samples.items() if _is_shape(name)}
    for shape in sorted(profiles, key=shape_order):
        # Without its samples (deleted, or never copied here) a profile has no plot; its numbers stay on the card.
        files = {side: _beside(path, file) for side, file in profiles[shape].items()}
        if {"query", "corpus"} <= set(files) and all(file.is_file() for file in files.values()):
            yield SampledProfile(shape, [_read_side(side, files[side], shape.batch) for side in ("query", "corpus")])


def rate_searches(path: Path, result: PairResult) -> Iterator[RateSearch]:
    """Yield the rate searches of the result at ``path``; a search without its file is left out.

    Raises:
        ResultError: a file has no latency samples; ``where`` names it.
    """
    for name, search in sorted(result.embedbench.max_rates.items()):
        name_of_file = result.embedbench.evidence.samples.get(name, {}).get(search.side, "")
        file = _beside(path, name_of_file)
        if not name_of_file or not file.is_file():
            continue
        # Sorted by rate and then by latency: ``groupby`` needs the first, percentiles need the second.
        rows = sorted(_read_columns(file, "rate_per_s", "latency_ms"))
        tried = [
            SampledRate(rate, [latency for _, latency in group]) for rate, group in groupby(rows, key=itemgetter(0))
        ]
        slug = file.name.removeprefix(f"{path.stem}.").removesuffix(".csv")
        yield RateSearch(name, slug, search.found.limit_ms, search.found.rate, tried)


def _is_shape(name: str) -> bool:
    """Whether this names a profile: searches for a rate keep samples under other keys."""
    try:
        parse_shape(name)
    except ValueError:
        return False
    return True


def _beside(path: Path, file: str) -> Path:
    """Return a result's file by its bare name: a result may come from elsewhere, and must not name files outside."""
    return path.parent / Path(file).name


def _read_side(side: str, path: Path, batch: int) -> SampledSide:
    """Return a side's samples; wall time is from the first send to the last answer, as in its statistics."""
    # ``sent_s`` counts from the first counted send, so the latest answer gives the wall time.
    rows = _read_columns(path, "sent_s", "latency_ms")
    seconds = max(sent + latency / 1000 for sent, latency in rows)
    if seconds <= 0:
        raise _no_samples(path, "their times are not positive")
    return SampledSide(side, sorted(latency for _, latency in rows), batch * len(rows) / seconds)


def _read_columns(path: Path, *names: str) -> list[tuple[float, ...]]:
    """Return the rows of these columns, the last of which are latencies; at least one row.

    Raises:
        ResultError: there are no rows, or a value is not a time.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [tuple(float(row[name]) for name in names) for row in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:  # TypeError: a row that is too short
        raise _no_samples(path, str(error)) from None
    if not rows:
        raise _no_samples(path, "the file is empty")
    if not (all(math.isfinite(value) for row in rows for value in row) and min(row[-1] for row in rows) > 0):
        raise _no_samples(path, "a latency is not a positive number")
    return rows


def _no_samples(path: Path, reason: str) -> ResultError:
    return ResultError(f"no latency samples: {reason}", where=str(path), fix="delete it, or measure again")
