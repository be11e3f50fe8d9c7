"""Slowdown of a model against its baseline: the ratio of their times for the same requests, with its interval."""

from __future__ import annotations

import csv
import io
import itertools
import math
from collections.abc import Sequence
from statistics import stdev
from typing import Literal, NamedTuple

import msgspec

from pytest_embedbench.core.bounded import Amount, Count
from pytest_embedbench.load.circumstances import Circumstances

MAX_LOGARITHM = 700.0
"""Natural logarithm; a larger one counts as that of infinity, since double precision ends at e^709."""

BATCHES = 20
"""Runs of successive pairs, at most; the interval is computed from their means."""

Stopped = Literal["precise", "time"]
"""Reason why a measurement ended: its interval was narrow enough, or its time was up."""


class TimedPair(NamedTuple):
    """Times of both models for the same requests, sent ``sent_s`` seconds after the first counted pair.

    ``model_first`` is 1 where the model went before the baseline, else 0; the order is random.
    """

    sent_s: float
    model_ms: float
    baseline_ms: float
    model_first: int


class Ratio(NamedTuple):
    """The model's time divided by the baseline's, with the ends of the interval."""

    ratio: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """The interval's length as a share of the ratio."""
        return (self.high - self.low) / self.ratio


class SideSlowdown(msgspec.Struct, frozen=True, kw_only=True):
    """One side (queries or corpus): the ratio of times, its interval at ``confidence``, and the data behind them.

    ``model_ms`` and ``baseline_ms`` are medians. ``stopped`` says why the measurement ended: the interval was narrow
    enough (``precise``), or its time was up (``time``). ``samples`` names the CSV file with all pairs, beside the
    result.
    """

    ratio: Amount
    low: Amount
    high: Amount
    confidence: Amount
    pairs: Count
    model_ms: Amount
    baseline_ms: Amount
    seconds: Amount
    stopped: Stopped
    texts: Count
    distinct_texts: Count
    samples: str = ""


class SlowdownResult(msgspec.Struct, frozen=True, kw_only=True):
    """A model's slowdown against a baseline model under a load, measured side by side on one machine and day (UTC)."""

    shape: str
    against: str
    against_revision: str
    against_fingerprint: str
    hardware: str
    measured_on: str
    query: SideSlowdown
    corpus: SideSlowdown
    circumstances: Circumstances | None = None


def ratio_of(pairs: Sequence[TimedPair], confidence: float) -> Ratio:
    """Return the geometric mean of the pairs' ratios, with Student's two-sided t interval of the mean logarithm.

    The interval is computed from the means of ``BATCHES`` runs of successive pairs (batch means; 10 to 30 batches are
    enough: Schmeiser 1982). A disturbance of the machine lasts longer than one pair, so that successive pairs resemble
    each other, and an interval from single pairs would be far too narrow.

    Times of the same requests rise and fall together, with the requests' length and with the machine, so that ratios
    vary less than times. The geometric mean is the mean that does not depend on which model is the divisor (Fleming &
    Wallace 1986); a ratio needs an interval like any mean (Kalibera & Jones 2012). The interval of a single pair is
    infinite.
    """
    logs = [math.log(pair.model_ms / pair.baseline_ms) for pair in pairs]
    mean = math.fsum(logs) / len(logs)
    count = min(BATCHES, len(logs))
    if count == 1:
        return Ratio(math.exp(mean), 0.0, math.inf)
    from scipy.special import stdtrit

    # Run i of successive pairs goes from cuts[i] to cuts[i + 1]; all runs are equally long, to one pair.
    cuts = [len(logs) * batch // count for batch in range(count + 1)]
    means = [math.fsum(logs[start:end]) / (end - start) for start, end in itertools.pairwise(cuts)]
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * stdev(means) / math.sqrt(count)
    high = mean + half
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(high) if high < MAX_LOGARITHM else math.inf)


def dump_pairs(pairs: Sequence[TimedPair]) -> str:
    """Return the pairs as CSV, from which ``parse_pairs`` reads the same numbers again."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(TimedPair._fields)
    # csv writes a float as repr() does, with all digits that reading it back needs.
    writer.writerows(pairs)
    return table.getvalue()


def parse_pairs(text: str) -> list[TimedPair]:
    """Read the pairs from CSV, as ``dump_pairs`` writes them."""
    rows = csv.DictReader(io.StringIO(text))
    return [
        TimedPair(float(row["sent_s"]), float(row["model_ms"]), float(row["baseline_ms"]), int(row["model_first"]))
        for row in rows
    ]
