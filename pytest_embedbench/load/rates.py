"""What a search for a model's highest rate leaves: the rates that it tried, and what they showed."""

from __future__ import annotations

from typing import Literal

import msgspec

from pytest_embedbench.load.circumstances import Circumstances
from pytest_embedbench.load.quantiles import Interval

SearchEnded = Literal["precise", "probes", "time"]
"""The bracket was narrow, so many rates were tried, or the time was up."""

SEARCH_END_TEXTS: dict[SearchEnded, str] = {
    "precise": "bracket narrow enough",
    "probes": "the most there are",
    "time": "time was up",
}
"""In words, after how many rates were tried."""


class RateProbe(msgspec.Struct, frozen=True, kw_only=True):
    """One rate (requests a second) that was tried.

    One that is certain to fail ends early, and has no percentiles. ``lag_ms`` is the p99 of how late the load generator
    itself was.
    """

    rate: float
    requests: int
    holds: bool
    p50_ms: float | None = None
    p99_ms: float | None = None
    p99_interval_ms: Interval | None = None
    lag_ms: float = 0.0


class MaxRate(msgspec.Struct, frozen=True, kw_only=True):
    """The highest rate that held ``p99 <= limit_ms`` (0: none did), the lowest that did not, and why the search ended.

    ``refuted`` is None where none failed.
    """

    limit_ms: float
    rate: float
    refuted: float | None
    ended: SearchEnded
    probes: list[RateProbe]

    @property
    def tried(self) -> str:
        """How many rates were tried: ``7 rates tried``."""
        return f"{len(self.probes)} rate{'s' if len(self.probes) > 1 else ''} tried"


class RateResult(msgspec.Struct, frozen=True, kw_only=True):
    """A search on one side of a pair: ``batch`` texts a request, the hardware it ran on and its state.

    The texts are sent again and again where there are too few of them.
    """

    side: Literal["query", "corpus"]
    batch: int
    distinct_texts: int
    hardware: str
    found: MaxRate
    circumstances: Circumstances | None = None
