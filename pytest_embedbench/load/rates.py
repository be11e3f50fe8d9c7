"""Results of the search for a model's highest rate: the rates that it tried, and whether each held."""

from __future__ import annotations

from typing import Literal

import msgspec

from pytest_embedbench.core.bounded import Amount, Count
from pytest_embedbench.load.circumstances import Circumstances
from pytest_embedbench.load.quantiles import Interval

SearchEnded = Literal["precise", "probes", "time"]
"""Reason why a search ended: its bracket was narrow enough, the limit of rates was reached, or its time was up."""

MAX_PROBES = 16
"""Rates that a search tries at most."""

SEARCH_END_TEXTS: dict[SearchEnded, str] = {
    "precise": "bracket narrow enough",
    "probes": f"limit of {MAX_PROBES} rates",
    "time": "time was up",
}
"""Reasons as users read them, after the number of rates tried: ``7 rates tried, time was up``."""


class RateProbe(msgspec.Struct, frozen=True, kw_only=True):
    """One rate (requests a second) that the search tried, and what it measured.

    A rate that is certain to fail is given up early, and has no percentiles. ``lag_ms`` is the p99 of how late the load
    generator sent its requests.
    """

    rate: Amount
    requests: Count
    holds: bool
    p50_ms: Amount | None = None
    p99_ms: Amount | None = None
    p99_interval_ms: Interval | None = None
    lag_ms: Amount = 0.0
    client_limited: bool = False
    """Whether the rate failed since the load client could not send it; the server may hold it."""


class MaxRate(msgspec.Struct, frozen=True, kw_only=True):
    """Highest rate at which ``p99 <= limit_ms`` held, lowest rate at which it failed, and why the search ended.

    ``rate`` is 0 where none held, ``refuted`` is None where none failed.
    """

    limit_ms: Amount
    rate: Amount
    refuted: Amount | None
    ended: SearchEnded
    probes: list[RateProbe]

    @property
    def client_limited(self) -> bool:
        """Whether the lowest rate that failed did so for the load client."""
        return any(probe.client_limited for probe in self.probes if probe.rate == self.refuted)

    @property
    def is_lower_bound(self) -> bool:
        """Whether the server may hold more than ``rate``: no rate failed, or one that the client could not send."""
        return self.rate > 0 and (self.refuted is None or self.client_limited)

    @property
    def tried(self) -> str:
        """The number of rates tried, in words: ``7 rates tried``."""
        return f"{len(self.probes)} rate{'s' if len(self.probes) > 1 else ''} tried"


class RateResult(msgspec.Struct, frozen=True, kw_only=True):
    """A search on one side of a pair, with ``batch`` texts a request: its outcome, and the hardware with its state.

    Texts are sent repeatedly where there are fewer than the search needs.
    """

    side: Literal["query", "corpus"]
    batch: Count
    distinct_texts: Count
    hardware: str
    found: MaxRate
    circumstances: Circumstances | None = None
