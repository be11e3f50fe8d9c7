"""What the reader of a profile should know beside its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_embedbench.load.statistics import SideStatistics

BUSY = 0.5
"""A load client that works for more of a core's time, or of what it can do, adds to the latencies that it measures."""


def notes(sides: Mapping[str, SideStatistics]) -> str:
    """Notes on the sides, by their names; "" where there is nothing to say."""
    return "; ".join(note for name, side in sides.items() for note in _of(name, side))


def _of(name: str, side: SideStatistics) -> Iterator[str]:
    if side.distinct_texts < side.texts:
        yield f"only {side.distinct_texts} distinct {name} texts for {side.texts} sent: some were sent again"
    client = side.client
    if client and max(client.cpu_share, side.requests_per_s / client.capacity_per_s) > BUSY:
        yield (
            f"{name}: the load client itself was busy ({client.cpu_share:.0%} of a core; {side.requests_per_s:,.0f} of "
            f"the {client.capacity_per_s:,.0f} requests/s that it can do)"
        )
