"""Notes on a profile that its reader needs beside the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_embedbench.core.thresholds import digits
from pytest_embedbench.load.circumstances import Circumstances
from pytest_embedbench.load.statistics import SideStatistics

MAX_CLIENT_SHARE = 0.5
"""Share; a note warns of a load client that adds to the latencies it measures, since it uses more than this share of a
core or of its own capacity, or sends its requests late by more than this share of the latency."""


def notes(sides: Mapping[str, SideStatistics]) -> str:
    """Return the notes on all sides, given by name, as one line; an empty string if there are none."""
    return "; ".join(note for name, side in sides.items() for note in _side_notes(name, side))


BUSY_SHARE = 0.10
"""Share of the processors; a note warns where other processes kept more of them busy during a measurement."""

STOLEN_SHARE = 0.05
"""Share of the time; a note warns where the hypervisor gave more of it to other machines."""


def busy_note(circumstances: Circumstances | None) -> str:
    """Return what else the machine did during a measurement; "" if it did little, or nothing is known."""
    if circumstances is None or not circumstances.cores:
        return ""
    busy, cores, stolen = circumstances.busy_cores or 0.0, circumstances.cores, circumstances.stolen_share or 0.0
    reasons = []
    if busy > BUSY_SHARE * cores:
        reasons.append(f"other processes used {busy:.1f} of {cores} core{'s' if cores > 1 else ''}")
    if stolen > STOLEN_SHARE:
        reasons.append(f"the hypervisor gave {stolen:.0%} of its time to others")
    return f"the machine was busy: {' and '.join(reasons)}" if reasons else ""


def is_client_limited(side: SideStatistics) -> bool:
    """Whether the load client was so busy that the side's rates are only lower bounds."""
    client = side.client
    return client is not None and max(client.cpu_share, side.requests_per_s / client.capacity_per_s) > MAX_CLIENT_SHARE


def overload_note(side: SideStatistics) -> str:
    """Return why the server is not known to have kept up with the rate of an open loop.

    An empty string if it kept up, and for a closed loop.
    """
    if side.arrivals is None or side.arrivals.kept_up:
        return ""
    if side.arrivals.kept_up is None:
        return (
            "too short to tell whether the server keeps up: requests came for "
            f"{side.arrivals.seconds:.3g} s, and one took {side.mean_ms / 1000:.3g} s (mean)"
        )
    left = f", and {side.unanswered:,} requests had no answer in the end" if side.unanswered else ""
    return (
        f"the server did not keep up: it answered {digits(side.requests_per_s)} of {side.arrivals.rate_per_s:.12g} "
        f"requests/s{left}; latency grows for as long as the load lasts"
    )


def _side_notes(name: str, side: SideStatistics) -> Iterator[str]:
    if side.distinct_texts < side.texts:
        yield f"only {side.distinct_texts} distinct {name} texts for {side.texts} sent: some were sent again"
    if side.tokens_from == "estimate":
        yield f"{name}: tokens are an estimate from characters, not a count"
    if note := overload_note(side):
        yield f"{name}: {note}"
    elif side.arrivals and side.arrivals.lag_ms > MAX_CLIENT_SHARE * (side.p99_ms or side.max_ms):
        yield f"{name}: the load generator itself was late, by up to {side.arrivals.lag_ms:.3g} ms (p99)"
    if (client := side.client) and is_client_limited(side):
        yield (
            f"{name}: the load client itself was busy ({client.cpu_share:.0%} of a core; {side.requests_per_s:,.0f} of "
            f"the {client.capacity_per_s:,.0f} requests/s that it can send), so that rates are lower bounds"
        )
