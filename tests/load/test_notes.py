"""What is said beside the numbers of a profile."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pytest_embedbench.load.notes import notes
from pytest_embedbench.load.statistics import ClientCost, SideStatistics, summarize


def side(*, distinct: int = 20, client: ClientCost | None = None) -> SideStatistics:
    made = summarize([5.0] * 20, batch=1, own_tokens=100, tokens=140, seconds=0.01, distinct_texts=distinct)
    return replace(made, client=client)


def test_nothing_to_say() -> None:
    assert notes({"query": side(), "corpus": side(client=ClientCost(cpu_share=0.4, capacity_per_s=9000))}) == ""


def test_texts_that_were_sent_again() -> None:
    said = "only 7 distinct corpus texts for 20 sent: some were sent again"
    assert notes({"query": side(), "corpus": side(distinct=7)}) == said


@pytest.mark.parametrize(("share", "capacity"), [(0.6, 9000), (0.1, 3000)])
def test_a_client_that_may_be_what_was_measured(share: float, capacity: float) -> None:
    found = notes({"query": side(client=ClientCost(cpu_share=share, capacity_per_s=capacity)), "corpus": side()})
    part = f"{share:.0%} of a core; 2,000 of the {capacity:,.0f} requests/s that it can do"
    assert found == f"query: the load client itself was busy ({part})"
