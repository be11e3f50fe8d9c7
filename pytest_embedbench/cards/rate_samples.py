"""The samples behind a result's searches for the highest rate, read again from the files beside it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from pytest_embedbench.cards.profile_samples import columns
from pytest_embedbench.results.schema import PairResult


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
