"""Notes beside the numbers of a profile."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pytest_embedbench.load.circumstances import Circumstances
from pytest_embedbench.load.notes import busy_note, is_client_limited, notes
from pytest_embedbench.load.statistics import Arrivals, ClientCost, SideStatistics, summarize


def side(*, distinct: int = 20, client: ClientCost | None = None) -> SideStatistics:
    actual = summarize([5.0] * 20, batch=1, own_tokens=100, tokens=140, seconds=0.01, distinct_texts=distinct)
    return replace(actual, client=client)


def test_nothing_to_say() -> None:
    assert notes({"query": side(), "corpus": side(client=ClientCost(cpu_share=0.4, capacity_per_s=9000))}) == ""


def test_texts_that_were_sent_again() -> None:
    said = "only 7 distinct corpus texts for 20 sent: some were sent again"
    assert notes({"query": side(), "corpus": side(distinct=7)}) == said


@pytest.mark.parametrize(("share", "capacity"), [(0.6, 9000), (0.1, 3000)])
def test_a_client_that_may_be_what_was_measured(share: float, capacity: float) -> None:
    result = notes({"query": side(client=ClientCost(cpu_share=share, capacity_per_s=capacity)), "corpus": side()})
    part = f"{share:.0%} of a core; 2,000 of the {capacity:,.0f} requests/s that it can send"
    assert result == f"query: the load client itself was busy ({part}), so that rates are lower bounds"
    assert is_client_limited(side(client=ClientCost(cpu_share=share, capacity_per_s=capacity)))
    assert not is_client_limited(side(client=ClientCost(cpu_share=0.4, capacity_per_s=9000)))
    assert not is_client_limited(side())


@pytest.mark.parametrize(
    ("busy", "cores", "stolen", "said"),
    [
        (0.2, 2, 0.05, ""),
        (0.25, 2, 0.0, "the machine was busy: other processes used 0.2 of 2 cores"),
        (1.0, 1, 0.0, "the machine was busy: other processes used 1.0 of 1 core"),
        (None, 2, 0.06, "the machine was busy: the hypervisor gave 6% of its time to others"),
        (None, None, None, ""),
    ],
)
def test_what_else_the_machine_did(busy: float | None, cores: int | None, stolen: float | None, said: str) -> None:
    assert busy_note(Circumstances(busy_cores=busy, cores=cores, stolen_share=stolen)) == said
    assert busy_note(None) == ""


def arrived(*, kept_up: bool | None, lag_ms: float = 0.1, unanswered: int = 0) -> SideStatistics:
    came = Arrivals(rate_per_s=2500.5, seconds=0.004, lag_ms=lag_ms, growth=0.0, kept_up=kept_up)
    return replace(side(), arrivals=came, unanswered=unanswered)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (arrived(kept_up=True), ""),
        (
            arrived(kept_up=False),
            "the server did not keep up: it answered 2,000.0 of 2500.5 requests/s; latency grows for as long as the load lasts",
        ),
        (
            arrived(kept_up=False, unanswered=1234),
            (
                "the server did not keep up: it answered 2,000.0 of 2500.5 requests/s, and 1,234 requests had no answer "
                "in the end; latency grows for as long as the load lasts"
            ),
        ),
        (
            arrived(kept_up=None),
            "too short to tell whether the server keeps up: requests came for 0.004 s, and one took 0.005 s (mean)",
        ),
    ],
)
def test_an_open_loop_that_does_not_show_that_the_server_keeps_up(found: SideStatistics, said: str) -> None:
    assert notes({"query": found, "corpus": side()}) == (said and f"query: {said}")


def test_a_load_generator_that_is_late() -> None:
    said = "corpus: the load generator itself was late, by up to 2.6 ms (p99)"
    assert notes({"query": side(), "corpus": arrived(kept_up=True, lag_ms=2.6)}) == said
