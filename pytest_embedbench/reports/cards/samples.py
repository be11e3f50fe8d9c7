"""The samples behind a result's profiles, read again from the files beside it."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from pytest_embedbench.errors import ResultError
from pytest_embedbench.load.shape import Shape, in_order, parse_shape
from pytest_embedbench.results.schema import PairResult


class Side(NamedTuple):
    """One side of a profile: its latencies (milliseconds, sorted), and texts answered a second of wall time."""

    name: str
    latencies_ms: list[float]
    texts_per_s: float


class SampledProfile(NamedTuple):
    """A profile's shape and its sides, queries first."""

    shape: Shape
    sides: list[Side]


def sampled_profiles(path: Path, result: PairResult) -> Iterator[SampledProfile]:
    """The profiles of the result at ``path`` in their shapes' order; one without its files is left out.

    Raises:
        ResultError: a file has no latency samples; the message names it.
    """
    profiles = {parse_shape(name): files for name, files in result.embedbench.evidence.samples.items() if _is(name)}
    for shape in sorted(profiles, key=in_order):
        files = profiles[shape]
        # A result may come from elsewhere: what it names lies beside it, or is not read.
        found = {side: path.parent / Path(file).name for side, file in files.items()}
        if {"query", "corpus"} <= set(found) and all(file.is_file() for file in found.values()):
            yield SampledProfile(shape, [_read(side, found[side], shape.batch) for side in ("query", "corpus")])


def _is(name: str) -> bool:
    """Is this a profile's name? A search for a rate keeps samples too."""
    try:
        parse_shape(name)
    except ValueError:
        return False
    return True


def _read(side: str, path: Path, batch: int) -> Side:
    """A side's samples; wall time is from the first send to the last answer, as in its statistics."""
    rows = columns(path, "sent_s", "latency_ms")
    seconds = max(sent + latency / 1000 for sent, latency in rows)
    if seconds <= 0:
        raise _without_times(path)
    return Side(side, sorted(latency for _, latency in rows), batch * len(rows) / seconds)


def columns(path: Path, *names: str) -> list[tuple[float, ...]]:
    """Rows of these columns, the last of which are latencies; at least one row.

    Raises:
        ResultError: there are none, or not of times; the message names the file.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [tuple(float(row[name]) for name in names) for row in csv.DictReader(file)]
    except (KeyError, TypeError, ValueError) as error:  # TypeError: a row that is too short
        raise ResultError(f"{path}: no latency samples: {error}\n  fix: delete it, or measure again") from None
    if not (rows and all(math.isfinite(value) for row in rows for value in row) and min(row[-1] for row in rows) > 0):
        raise _without_times(path)
    return rows


def _without_times(path: Path) -> ResultError:
    return ResultError(
        f"{path}: no latency samples: there are none, or not of times\n  fix: delete it, or measure again"
    )


class Tried(NamedTuple):
    """A rate (requests a second) that was tried, and its latencies (milliseconds, sorted)."""

    rate: float
    latencies_ms: list[float]


class RateSearch(NamedTuple):
    """A search: its name in the result, its limit on p99, the highest rate that held, and all tried, lowest first."""

    name: str
    slug: str
    limit_ms: float
    highest: float
    tried: list[Tried]


def rate_searches(path: Path, result: PairResult) -> Iterator[RateSearch]:
    """The searches of the result at ``path``; one without its file is left out.

    Raises:
        ResultError: a file has no latency samples; the message names it.
    """
    for name, search in sorted(result.embedbench.max_rates.items()):
        file = Path(result.embedbench.evidence.samples.get(name, {}).get(search.side, "")).name
        # A result may come from elsewhere: what it names lies beside it, or is not read.
        if not file or not (path.parent / file).is_file():
            continue
        rows = sorted(columns(path.parent / file, "rate_per_s", "latency_ms"))
        tried = [Tried(rate, [latency for _, latency in group]) for rate, group in groupby(rows, key=itemgetter(0))]
        slug = file.removeprefix(f"{path.stem}.").removesuffix(".csv")
        yield RateSearch(name, slug, search.found.limit_ms, search.found.rate, tried)
