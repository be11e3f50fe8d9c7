"""How many times the baseline's time a model takes: an interval from pairs of times for the same requests."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Sequence
from statistics import stdev
from typing import Literal, NamedTuple

import msgspec

MAX_LOGARITHM = 700.0
"""Beyond it, a logarithm's number is infinite: double precision ends at e^709."""

BATCHES = 20
"""Runs of successive pairs that the interval is made of."""

Stopped = Literal["precise", "time"]


class TimedPair(NamedTuple):
    """The same requests to both models: when (seconds from the first counted pair), and how long each one took.

    ``model_first`` is 1 where the model was asked before the baseline, else 0: the order is random.
    """

    sent_s: float
    model_ms: float
    baseline_ms: float
    model_first: int


class Ratio(NamedTuple):
    """The model's time over the baseline's, with the ends of its interval."""

    ratio: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """The interval's length as a share of the ratio."""
        return (self.high - self.low) / self.ratio


class SideSlowdown(msgspec.Struct, frozen=True, kw_only=True):
    """One side (queries or corpus): the ratio of times, its interval at ``confidence``, and what they rest on.

    ``model_ms`` and ``baseline_ms`` are medians. ``stopped`` says why the measurement ended: the interval was narrow
    enough (``precise``), or its time was up (``time``). ``samples`` is the CSV with all pairs, beside the result.
    """

    ratio: float
    low: float
    high: float
    confidence: float
    pairs: int
    model_ms: float
    baseline_ms: float
    seconds: float
    stopped: Stopped
    texts: int
    distinct_texts: int
    samples: str = ""


class SlowdownResult(msgspec.Struct, frozen=True, kw_only=True):
    """A model against a baseline model under a load, measured side by side on this hardware on that day (UTC)."""

    shape: str
    against: str
    against_revision: str
    against_fingerprint: str
    hardware: str
    measured_on: str
    query: SideSlowdown
    corpus: SideSlowdown


def ratio_of(pairs: Sequence[TimedPair], confidence: float) -> Ratio:
    """The geometric mean of the pairs' ratios, with Student's t interval of their logarithms' mean; two-sided.

    The interval is that of the means of ``BATCHES`` runs of successive pairs: what disturbs a machine lasts longer than
    a pair, so that neighbours are alike, and an interval of single pairs would be far too narrow (batch means, of which
    10 to 30 are enough: Schmeiser 1982).

    Times of the same requests go up and down together, with their length and with the machine, so that their ratios
    vary less than they do. The geometric mean is the one that does not depend on which model is the divisor (Fleming &
    Wallace 1986); a ratio needs an interval like any mean (Kalibera & Jones 2012). One pair has an infinite one.
    """
    logs = [math.log(pair.model_ms / pair.baseline_ms) for pair in pairs]
    mean = math.fsum(logs) / len(logs)
    count = min(BATCHES, len(logs))
    if count == 1:
        return Ratio(math.exp(mean), 0.0, math.inf)
    from scipy.special import stdtrit

    cuts = [len(logs) * batch // count for batch in range(count + 1)]
    means = [math.fsum(logs[start:end]) / (end - start) for start, end in itertools.pairwise(cuts)]
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * stdev(means) / math.sqrt(count)
    high = mean + half
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(high) if high < MAX_LOGARITHM else math.inf)


def dump_pairs(pairs: Sequence[TimedPair]) -> str:
    """The pairs as CSV, from which ``parse_pairs`` reads the same numbers again."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(TimedPair._fields)
    writer.writerows(pairs)
    return table.getvalue()


def parse_pairs(text: str) -> list[TimedPair]:
    """The inverse of ``dump_pairs``."""
    rows = csv.DictReader(io.StringIO(text))
    return [
        TimedPair(float(row["sent_s"]), float(row["model_ms"]), float(row["baseline_ms"]), int(row["model_first"]))
        for row in rows
    ]
