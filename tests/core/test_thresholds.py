"""Thresholds and budgets: they print as they parse, compare in the base unit, and explain what is wrong."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.core.measures import ALIASES
from pytest_embedbench.core.thresholds import (
    BUDGET_UNITS,
    MAX_RATE_QUANTITIES,
    OPERATORS,
    SIZE_UNITS,
    TIME_UNITS,
    Limit,
    RateLimit,
    parse_budget,
    parse_quality,
)

operators = st.sampled_from(sorted(OPERATORS))
scores = st.floats(0, 1)
qualities = st.builds(
    Limit,
    st.builds("{}@{}".format, st.sampled_from(sorted(set(ALIASES.values()))), st.integers(1, 1000)),
    operators,
    scores,
)


@st.composite
def budgets(draw: st.DrawFn) -> Limit:
    subject = draw(st.sampled_from(sorted(BUDGET_UNITS.keys() - MAX_RATE_QUANTITIES)))
    unit = draw(st.sampled_from(sorted(BUDGET_UNITS[subject])))
    return Limit(subject, draw(operators), draw(st.floats(0, 1e12)), unit)


@st.composite
def max_rates(draw: st.DrawFn) -> RateLimit:
    subject = draw(st.sampled_from(sorted(MAX_RATE_QUANTITIES)))
    unit = draw(st.sampled_from(sorted(BUDGET_UNITS[subject])))
    number = draw(st.floats(0, 1e12, exclude_min=True))
    latency = Limit(f"{subject.split()[0]} p99", "<=", number, draw(st.sampled_from(sorted(TIME_UNITS))))
    return RateLimit(subject, draw(operators), draw(st.floats(0, 1e12)), unit, latency=latency)


@given(qualities)
def test_a_quality_limit_prints_as_it_parses(limit: Limit) -> None:
    assert parse_quality(str(limit)) == limit


@given(budgets() | max_rates())
def test_a_budget_prints_as_it_parses(limit: Limit) -> None:
    assert parse_budget(str(limit)) == limit


@given(budgets(), st.text(" \t", max_size=3), st.booleans())
def test_blanks_and_the_case_of_the_subject_do_not_matter(limit: Limit, blanks: str, upper: bool) -> None:
    subject = limit.subject.upper() if upper else limit.subject
    text = f"{blanks}{subject}{blanks}{limit.op}{blanks}{limit.number!r}{blanks}{limit.unit}{blanks}"
    assert parse_budget(text) == limit


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("nDCG@10>=.31", "ndcg@10 >= 0.31"),
        ("AP@100 > 5e-2", "map@100 > 0.05"),
        ("recall@100 <= 1", "recall@100 <= 1"),
        ("mrr@10 < 0.3159412", "mrr@10 < 0.3159412"),
    ],
)
def test_how_quality_limits_print(text: str, printed: str) -> None:
    assert str(parse_quality(text)) == printed


@pytest.mark.parametrize(
    ("text", "printed", "bound"),
    [
        ("query p50 <= 160 ms", "query p50 <= 160 ms", 160),
        ("Query  P99<1.5s", "query p99 < 1.5 s", 1500),
        ("corpus mean <= 2 s", "corpus mean <= 2 s", 2000),
        ("query max < 80ms", "query max < 80 ms", 80),
        ("corpus throughput >= 5_000 tok/s", "corpus throughput >= 5000 tok/s", 5000),
        ("corpus throughput >= 12345678 tok/s", "corpus throughput >= 12345678 tok/s", 12345678),
        ("query throughput > 40 texts/s", "query throughput > 40 texts/s", 40),
        ("query throughput > 40 requests/s", "query throughput > 40 requests/s", 40),
        ("cold start <= 3 s", "cold start <= 3 s", 3000),
        ("memory <= 500 MB", "memory <= 500 MB", 5e8),
        ("memory <= 1.5 GB", "memory <= 1.5 GB", 1.5e9),
        ("memory <= 512 MiB", "memory <= 512 MiB", 512 * 2**20),
        ("memory <= 2 GiB", "memory <= 2 GiB", 2 * 2**30),
        ("query p99 <= 300 ms", "query p99 <= 300 ms", 300),
        ("memory <= 20 GB", "memory <= 20 GB", 2e10),
        ("cold start <= 60 s", "cold start <= 60 s", 60_000),
        ("max rate >= 50/s at p99 <= 500 ms", "query max rate >= 50 /s at p99 <= 500 ms", 50),
        ("Corpus  Max Rate>50 requests/s  AT P99<=0.5s", "corpus max rate > 50 requests/s at p99 <= 0.5 s", 50),
    ],
)
def test_budgets_are_kept_in_the_base_unit(text: str, printed: str, bound: float) -> None:
    limit = parse_budget(text)
    assert (str(limit), limit.bound) == (printed, bound)


def test_a_max_rate_is_of_a_side_and_under_its_latency() -> None:
    limit = parse_budget("max rate >= 50 /s at p99 <= 0.5 s")
    assert isinstance(limit, RateLimit)
    assert (limit.side, limit.latency.bound) == ("query", 500)
    assert limit.latency == parse_budget("query p99 <= 0.5 s")
    assert (limit.show(70.71), limit.show_bound()) == ("70.7 /s", ">= 50 /s at p99 <= 0.5 s")
    corpus = parse_budget("corpus max rate >= 50 /s at p99 <= 0.5 s")
    assert isinstance(corpus, RateLimit)
    assert (corpus.side, corpus.latency.subject) == ("corpus", "corpus p99")


@pytest.mark.parametrize(
    ("op", "below", "equal", "above"),
    [
        (">=", False, True, True),
        (">", False, False, True),
        ("<=", True, True, False),
        ("<", True, False, False),
    ],
)
def test_every_operator(op: str, below: bool, equal: bool, above: bool) -> None:
    quality = parse_quality(f"ndcg@10 {op} 0.5")
    assert [quality.holds(value) for value in (0.4999, 0.5, 0.5001)] == [below, equal, above]
    budget = parse_budget(f"query p50 {op} 2 s")
    assert [budget.holds(value) for value in (1999.9, 2000, 2000.1)] == [below, equal, above]


@pytest.mark.parametrize("op", sorted(OPERATORS))
def test_nan_is_never_within_a_limit(op: str) -> None:
    assert not parse_quality(f"ndcg@10 {op} 0.5").holds(math.nan)


@pytest.mark.parametrize(
    ("limit", "measured", "shown", "bound"),
    [
        (parse_quality("ndcg@10 >= 0.31"), 0.315941, "0.3159", ">= 0.31"),
        (parse_budget("query p99 <= 1.5 s"), 2345.678, "2.35 s", "<= 1.5 s"),
        (parse_budget("query p99 <= 0.2 s"), 210.4, "0.210 s", "<= 0.2 s"),
        (parse_budget("query p99 <= 1500 ms"), 2345.678, "2,345.7 ms", "<= 1,500 ms"),
        (parse_budget("memory <= 2 GB"), 3.251e9, "3.25 GB", "<= 2 GB"),
        (parse_budget("corpus throughput >= 1234567 tok/s"), 1e6, "1,000,000.0 tok/s", ">= 1,234,567 tok/s"),
    ],
)
def test_values_are_shown_in_the_users_unit(limit: Limit, measured: float, shown: str, bound: str) -> None:
    assert (limit.show(measured), limit.show_bound()) == (shown, bound)


def test_units_of_time_and_size_agree_with_their_definitions() -> None:
    assert TIME_UNITS["s"] == 1000 * TIME_UNITS["ms"]
    assert SIZE_UNITS["GiB"] == 1024 * SIZE_UNITS["MiB"] == 1024**3
    assert SIZE_UNITS["GB"] == 1000 * SIZE_UNITS["MB"] == 1000**3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ndgc@10 >= 0.3", "unknown metric 'ndgc'; did you mean 'ndcg'?"),
        ("ndcg >= 0.3", "metric 'ndcg' has no cut-off; write ndcg@10"),
        ("ndcg@10", "'ndcg@10' is not a limit; write it as 'ndcg@10 >= 0.31'"),
        ("", "'' is not a limit; write it as 'ndcg@10 >= 0.31'"),
        ("0.3 <= ndcg@10 <= 0.5", "'0.3 <= ndcg@10 <= 0.5' is not a limit; write it as 'ndcg@10 >= 0.31'"),
        ("ndcg@10 => 0.3", "operator '=>' in 'ndcg@10 => 0.3'; write '>='"),
        ("ndcg@10 =< 0.3", "operator '=<' in 'ndcg@10 =< 0.3'; write '<='"),
        ("ndcg@10 == 0.3", "operator '==' in 'ndcg@10 == 0.3'; write one of '>=', '>', '<=', '<'"),
        ("ndcg@10 = 0.3", "operator '=' in 'ndcg@10 = 0.3'; write one of '>=', '>', '<=', '<'"),
        ("ndcg@10 >= high", "'high' in 'ndcg@10 >= high' is not a number; write it as 'ndcg@10 >= 0.31'"),
        ("ndcg@10 >= nan", "'nan' in 'ndcg@10 >= nan' is not a number; write it as 'ndcg@10 >= 0.31'"),
        (
            "ndcg@10 >= 31%",
            "scores lie between 0 and 1 and have no unit, not 31% in 'ndcg@10 >= 31%'; write ndcg@10 >= 0.31",
        ),
        (
            "P@5 >= 31",
            "scores lie between 0 and 1 and have no unit, not 31 in 'P@5 >= 31'; write precision@5 >= 0.31",
        ),
        (
            "ndcg@10 >= 0.3 ms",
            "scores lie between 0 and 1 and have no unit, not 0.3ms in 'ndcg@10 >= 0.3 ms'",
        ),
        ("ndcg@10 >= -0.1", "scores lie between 0 and 1 and have no unit, not -0.1 in 'ndcg@10 >= -0.1'"),
    ],
)
def test_what_is_said_of_a_wrong_quality_limit(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        parse_quality(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "query p50 <= 1e999 ms",
            "the number in 'query p50 <= 1e999 ms' is too large; write it as 'query p50 <= 160 ms'",
        ),
        ("query p50 <= 160", "no unit in 'query p50 <= 160'; query p50 is given in ms or s"),
        ("query p50 <= 160 tok/s", "unit 'tok/s' in 'query p50 <= 160 tok/s'; query p50 is given in ms or s"),
        ("query p50 <= 1_ ms", "unit '_ ms' in 'query p50 <= 1_ ms'; query p50 is given in ms or s"),
        (
            "corpus throughput >= 5 ms",
            "unit 'ms' in 'corpus throughput >= 5 ms'; corpus throughput is given in tok/s or texts/s or requests/s",
        ),
        ("memory <= 2", "no unit in 'memory <= 2'; memory is given in MB or GB or MiB or GiB"),
        ("query p9 <= 1 ms", "unknown quantity 'query p9' in 'query p9 <= 1 ms'; did you mean 'query p99'?"),
        (
            "querry p50 <= 1 ms",
            "unknown quantity 'querry p50' in 'querry p50 <= 1 ms'; did you mean 'query p50'?",
        ),
        ("query p50 => 160 ms", "operator '=>' in 'query p50 => 160 ms'; write '>='"),
        (
            "query p50 <= fast",
            "'fast' in 'query p50 <= fast' is not a number; write it as 'query p50 <= 160 ms'",
        ),
        ("query p50", "'query p50' is not a limit; write it as 'query p50 <= 160 ms'"),
        (
            "max rate >= 50 /s",
            (
                "a max rate without a latency in 'max rate >= 50 /s'; "
                "write it as 'query max rate >= 50 /s at p99 <= 500 ms'"
            ),
        ),
        (
            "max rate >= 50 at p99 <= 1 s",
            "no unit in 'max rate >= 50 at p99 <= 1 s'; query max rate is given in /s or requests/s",
        ),
        (
            "max rates >= 50 /s at p99 <= 1 s",
            "unknown quantity 'max rates' in 'max rates >= 50 /s at p99 <= 1 s'; did you mean 'max rate'?",
        ),
        (
            "query max rate >= 50 /s at p95 <= 1 s",
            (
                "the latency of a max rate is p99 <= a time in ms or s, not 'p95 <= 1 s' in 'query max rate >= 50 /s at p95 <= 1 s'; "
                "write 'at p99 <= 500 ms'"
            ),
        ),
        (
            "max rate >= 50 /s at p99 >= 1 s",
            (
                "the latency of a max rate is p99 <= a time in ms or s, not 'p99 >= 1 s' in 'max rate >= 50 /s at p99 >= 1 s'; "
                "write 'at p99 <= 500 ms'"
            ),
        ),
        (
            "max rate >= 50 /s at p99 <= 500",
            (
                "the latency of a max rate is p99 <= a time in ms or s, not 'p99 <= 500' in 'max rate >= 50 /s at p99 <= 500'; "
                "write 'at p99 <= 500 ms'"
            ),
        ),
        (
            "max rate >= 50 /s at p99 <= 0 ms",
            (
                "the latency of a max rate is p99 <= a time in ms or s, not 'p99 <= 0 ms' in 'max rate >= 50 /s at p99 <= 0 ms'; "
                "write 'at p99 <= 500 ms'"
            ),
        ),
        (
            "max rate >= 50 /s at 500 ms",
            "'500 ms' is not a limit; write it as 'p99 <= 500 ms'",
        ),
        (
            "query p50 <= 160 ms at p99 <= 1 s",
            (
                "only a max rate has a latency, not query p50 in 'query p50 <= 160 ms at p99 <= 1 s'; "
                "leave out 'at p99 <= 1 s'"
            ),
        ),
    ],
)
def test_what_is_said_of_a_wrong_budget(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        parse_budget(text)
    assert str(caught.value) == message


def test_an_unknown_quantity_with_nothing_close_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"known are cold start, corpus max, .*, query throughput$"):
        parse_budget("zzzzz <= 1 ms")
