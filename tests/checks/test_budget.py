"""Verdicts on budgets: the value with its interval, the margin to the limit, and what is not certain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.checks.budget import BudgetCheck, judge_load
from pytest_embedbench.checks.evidence import LoadEvidence
from pytest_embedbench.checks.margin import margin
from pytest_embedbench.checks.max_rate import MaxRateCheck, judge_max_rate
from pytest_embedbench.checks.verdict import PairNames
from pytest_embedbench.core.thresholds import OPERATORS, Limit, RateLimit, parse_budget
from pytest_embedbench.load.quantiles import Interval
from pytest_embedbench.load.rates import MaxRate, RateProbe, RateResult
from pytest_embedbench.load.shape import LoadShape, OpenShape
from pytest_embedbench.load.statistics import Arrivals, ClientCost, ProfileResult, summarize

if TYPE_CHECKING:
    from pytest_embedbench.checks.verdict import Verdict
    from pytest_embedbench.models.protocol import TokenSource

SIDE = msgspec.structs.replace(
    summarize([100.0] * 500, batch=1, own_tokens=5000, tokens=6000, seconds=2.0, distinct_texts=500),
    p99_ms=210.0,
    max_ms=400.0,
    intervals_ms={"p50": Interval(100, 100), "p99": Interval(190, 240)},
    intervals_per_s={"tokens_per_s": Interval(2400, 2600)},
)
PAIR = PairNames("minilm", "facts")
PROFILE = ProfileResult(shape="b1 c16", hardware="NVIDIA L4", query=SIDE, corpus=SIDE)


def judged(text: str, hardware: str = "") -> Verdict:
    check = BudgetCheck(shape=LoadShape(1, 16), limit=parse_budget(text), hardware=hardware)
    return judge_load(PAIR, check, LoadEvidence(PROFILE, 30.0, {"process": 8 * 10**9}))


@pytest.mark.parametrize(
    ("budget", "status", "measured", "explanation"),
    [
        (
            "query p99 <= 300 ms",
            "passed",
            "210.0 ms",
            "b1 c16 query p99 is 210.0 ms (95% interval 190.0 to 240.0 ms), must be <= 300 ms: 30% below",
        ),
        (
            "query p99 <= 0.2 s",
            "failed",
            "0.210 s",
            ("b1 c16 query p99 is 0.210 s (95% interval 0.190 to 0.240 s), must be <= 0.2 s: 5% above; "
            "the interval contains the limit: not certain"),
        ),
        (
            "query p99 <= 211 ms",
            "passed",
            "210.0 ms",
            ("b1 c16 query p99 is 210.0 ms (95% interval 190.0 to 240.0 ms), must be <= 211 ms: 0.5% below; "
            "the interval contains the limit: not certain"),
        ),
        (
            "query p99 <= 180 ms",
            "failed",
            "210.0 ms",
            "b1 c16 query p99 is 210.0 ms (95% interval 190.0 to 240.0 ms), must be <= 180 ms: 17% above",
        ),
        (
            "corpus throughput >= 5000 tok/s",
            "failed",
            "2,500.0 tok/s",
            "b1 c16 corpus throughput is 2,500.0 tok/s (95% interval 2,400.0 to 2,600.0 tok/s), must be >= 5,000 tok/s: 50% below",
        ),
        (
            "query throughput >= 240 requests/s",
            "passed",
            "250.0 requests/s",
            "b1 c16 query throughput is 250.0 requests/s, must be >= 240 requests/s: 4% above",
        ),
        ("memory <= 20 GB", "passed", "8.00 GB", "b1 c16 memory is 8.00 GB, must be <= 20 GB: 60% below"),
        ("cold start <= 60 s", "passed", "30.0 s", "b1 c16 cold start is 30.0 s, must be <= 60 s: 50% below"),
        ("query max <= 100 ms", "failed", "400.0 ms", "b1 c16 query max is 400.0 ms, must be <= 100 ms: 4.0 times the limit"),
    ],
)  # fmt: skip
def test_a_verdict_has_value_interval_and_margin(budget: str, status: str, measured: str, explanation: str) -> None:
    verdict = judged(budget)
    assert (verdict.status, verdict.measured, verdict.explanation) == (status, measured, explanation)


def test_a_budget_for_other_hardware_judges_nothing() -> None:
    assert judged("query p99 <= 180 ms", "H100").explanation == "binds on H100; this is NVIDIA L4"
    assert judged("query p99 <= 180 ms", "L4").status == "failed"


@given(st.sampled_from(sorted(OPERATORS)), st.floats(1, 1000), st.floats(1, 1000), st.floats(0, 500))
def test_doubt_is_where_the_intervals_ends_disagree_and_changes_no_verdict(
    op: str, bound: float, low: float, length: float
) -> None:
    limit = Limit("query p99", op, bound, "ms")
    side = msgspec.structs.replace(SIDE, p99_ms=low + length / 2, intervals_ms={"p99": Interval(low, low + length)})
    profile = msgspec.structs.replace(PROFILE, query=side)
    verdict = judge_load(PAIR, BudgetCheck(shape=LoadShape(1, 16), limit=limit), LoadEvidence(profile, None, {}))
    certain = limit.holds(low) == limit.holds(low + length)
    assert verdict.explanation.endswith("not certain") != certain
    assert (verdict.status == "passed") == limit.holds(low + length / 2)


@pytest.mark.parametrize(
    ("value", "bound", "told"),
    [
        (210, 300, "30% below"),
        (300, 300, "at the limit"),
        (301, 300, "0.3% above"),
        (599, 300, "100% above"),
        (600, 300, "2.0 times the limit"),
        (1, 1e12, "less than 1% of the limit"),
        (3, 0, "above"),
        (-1, 0, "below"),
    ],
)
def test_margins(value: float, bound: float, told: str) -> None:
    assert margin(value, bound) == told


# At a rate


def at_a_rate(*, kept_up: bool | None, **changes: float | None) -> ProfileResult:
    came = Arrivals(rate_per_s=300, seconds=1.5, lag_ms=0.1, growth=0.2, kept_up=kept_up)
    side = msgspec.structs.replace(SIDE, arrivals=came, **changes)
    return ProfileResult(shape="b1 r300", hardware="NVIDIA L4", query=side, corpus=side)


def judged_at_a_rate(text: str, profile: ProfileResult, hardware: str = "") -> Verdict:
    limit = parse_budget(text) if text else None
    check = BudgetCheck(shape=OpenShape(1, 300), limit=limit, hardware=hardware)
    return judge_load(PAIR, check, LoadEvidence(profile, 30.0, {"process": 8 * 10**9}))


def test_a_budget_at_a_rate_is_like_any_other() -> None:
    verdict = judged_at_a_rate("query p99 <= 300 ms", at_a_rate(kept_up=True))
    assert (verdict.check, verdict.status, verdict.value) == ("b1 r300 query p99", "passed", 210)
    assert verdict.explanation.startswith("b1 r300 query p99 is 210.0 ms (95% interval 190.0 to 240.0 ms), must be")


@pytest.mark.parametrize("p99", [210.0, None])
def test_no_latency_passes_where_the_server_does_not_keep_up(p99: float | None) -> None:
    """The value depends on how long the load lasted; with few answers there is none, and that is no excuse."""
    profile = at_a_rate(kept_up=False, p99_ms=p99)
    verdict = judged_at_a_rate("query p99 <= 300 ms", profile)
    assert (verdict.status, verdict.measured, verdict.value) == ("failed", "did not keep up", p99)
    assert verdict.explanation == (
        "b1 r300 query p99 must be <= 300 ms: the server did not keep up: it answered 250.0 of 300 requests/s; "
        "latency grows for as long as the load lasts"
    )
    assert judged_at_a_rate("query p99 <= 300 ms", profile, "H100").status == "skipped"
    assert judged_at_a_rate("memory <= 20 GB", profile).status == "passed", "that is no latency"
    assert judged_at_a_rate("", profile).measured == "query did not keep up, corpus did not keep up"


def test_a_load_too_short_to_tell_passes_nothing() -> None:
    verdict = judged_at_a_rate("query p99 <= 300 ms", at_a_rate(kept_up=None))
    assert (verdict.status, verdict.measured, verdict.value) == ("failed", "", None)
    assert verdict.explanation.startswith(
        "b1 r300 query p99 must be <= 300 ms, which cannot be decided: query too short to tell whether the server keeps "
        "up: requests came for 1.5 s"
    )
    assert verdict.explanation.endswith("\n  fix: measure longer, with a larger --embed-profile-seconds")
    assert judged_at_a_rate("query p99 <= 300 ms", at_a_rate(kept_up=None), "H100").status == "skipped"


def few_samples(**changes: object) -> ProfileResult:
    side = summarize([500.0] * 40, batch=1, own_tokens=400, tokens=480, seconds=20.0, distinct_texts=40)
    return msgspec.structs.replace(PROFILE, query=msgspec.structs.replace(side, **changes))


@pytest.mark.parametrize(
    ("budget", "wanted"),
    [
        (
            "query p99 <= 600 ms",
            (
                "query p99 needs 368 samples, there are 40 after 20 s\n  fix: measure longer, with "
                "--embed-profile-seconds=184 or more, or with more requests in flight; or set the budget on p90, which has its "
                "samples"
            ),
        ),
        ("cold start <= 60 s", "cold start was not measured here"),
    ],
)
def test_a_budget_that_cannot_be_decided_fails(budget: str, wanted: str) -> None:
    check = BudgetCheck(shape=LoadShape(1, 1), limit=parse_budget(budget))
    verdict = judge_load(PAIR, check, LoadEvidence(few_samples(), None, {}))
    assert (verdict.status, verdict.measured, verdict.value) == ("failed", "", None)
    assert (
        verdict.explanation == f"b1 c1 {verdict.check[6:]} must be {verdict.limit}, which cannot be decided: {wanted}"
    )
    elsewhere = msgspec.structs.replace(check, hardware="H100")
    assert judge_load(PAIR, elsewhere, LoadEvidence(few_samples(), None, {})).status == "skipped"


@pytest.mark.parametrize(("source", "words"), [("usage", "the server's count"), ("estimate", "an estimate")])
def test_tokens_that_the_tokenizer_did_not_count_decide_nothing_and_are_labelled(
    source: TokenSource, words: str
) -> None:
    side = msgspec.structs.replace(SIDE, tokens_from=source)
    load = LoadEvidence(msgspec.structs.replace(PROFILE, corpus=side, query=side), 30.0, {})
    check = BudgetCheck(shape=LoadShape(1, 16), limit=parse_budget("corpus throughput >= 1 tok/s"), hardware="L4")
    verdict = judge_load(PAIR, check, load)
    assert (verdict.status, verdict.value) == ("failed", None)
    assert (
        f"corpus tokens are {words}, not counted by the model's tokenizer\n  fix: give tokenizer" in verdict.explanation
    )
    texts = msgspec.structs.replace(check, limit=parse_budget("corpus throughput >= 1 texts/s"))
    assert judge_load(PAIR, texts, load).status == "passed"
    reported = judge_load(PAIR, BudgetCheck(shape=LoadShape(1, 16)), load)
    assert reported.measured == f"query p50 100.0 ms, corpus 2,500 tok/s ({words})"


def test_at_a_rate_the_fix_goes_by_the_rate() -> None:
    came = Arrivals(rate_per_s=0.5, seconds=80, lag_ms=0.1, growth=0.0, kept_up=True)
    check = BudgetCheck(shape=OpenShape(1, 0.5), limit=parse_budget("query p99 <= 600 ms"))
    verdict = judge_load(PAIR, check, LoadEvidence(few_samples(arrivals=came), None, {}))
    assert "--embed-profile-seconds=736 or more; or set the budget on p90" in verdict.explanation


@pytest.mark.parametrize(
    ("distinct", "said"),
    [
        (500, ""),
        (20, "; from 20 texts, each sent 25 times"),
        (40, "; from 40 texts, each sent 12 or 13 times"),
        (1, "; from one text, sent 500 times"),
    ],
)
def test_the_verdict_says_how_often_texts_were_sent(distinct: int, said: str) -> None:
    profile = msgspec.structs.replace(PROFILE, query=msgspec.structs.replace(SIDE, distinct_texts=distinct))
    check = BudgetCheck(shape=LoadShape(1, 16), limit=parse_budget("query p99 <= 300 ms"))
    verdict = judge_load(PAIR, check, LoadEvidence(profile, 30.0, {}))
    assert verdict.explanation == (
        f"b1 c16 query p99 is 210.0 ms (95% interval 190.0 to 240.0 ms), must be <= 300 ms: 30% below{said}"
    )


@pytest.mark.parametrize(
    ("budget", "samples"),
    [
        ("query p99 <= 1 s", {"query": 368}),
        ("corpus p50 <= 1 s", {"corpus": 6}),
        ("query mean <= 1 s", {}),
        ("corpus throughput >= 1 tok/s", {}),
        ("memory <= 1 GB", {}),
        ("max rate >= 1 /s at p99 <= 1 s", {}),
    ],
)
def test_the_samples_that_a_budget_needs(budget: str, samples: dict[str, int]) -> None:
    assert BudgetCheck(shape=LoadShape(1, 1), limit=parse_budget(budget)).samples == samples


def test_what_is_reported_at_a_rate_is_latency() -> None:
    verdict = judged_at_a_rate("", at_a_rate(kept_up=True))
    assert (verdict.status, verdict.measured) == ("measured", "query p50 100.0 ms, corpus p50 100.0 ms")


def searched(text: str, found: MaxRate, hardware: str = "") -> Verdict:
    limit = parse_budget(text)
    assert isinstance(limit, RateLimit)
    check = MaxRateCheck(shape=LoadShape(4, 16), limit=limit, hardware=hardware)
    result = RateResult(side=limit.side, batch=4, distinct_texts=10_000, hardware="NVIDIA L4", found=found)
    return judge_max_rate(PAIR, check, result)


FOUND = MaxRate(
    limit_ms=500,
    rate=70.0,
    refuted=75.0,
    ended="precise",
    probes=[
        RateProbe(rate=70.0, requests=400, holds=True, p99_ms=430, p99_interval_ms=Interval(410, 460)),
        RateProbe(rate=75.0, requests=90, holds=False),
    ],
)
TEXT = "query max rate >= 50 /s at p99 <= 500 ms"


def test_a_max_rate_is_told_with_its_bracket_and_its_end() -> None:
    verdict = searched(TEXT, FOUND)
    assert (verdict.check, verdict.status, verdict.measured) == ("b4 query max rate", "passed", "70.0 /s")
    assert (verdict.limit, verdict.value) == (">= 50 /s at p99 <= 500 ms", 70)
    assert verdict.explanation == (
        "b4 query max rate is 70.0 /s (75.0 /s did not hold), must be >= 50 /s at p99 <= 500 ms: 40% above; "
        "there p99 is 430.0 ms (95% interval 410.0 to 460.0 ms); 2 rates tried, bracket narrow enough"
    )


@pytest.mark.parametrize(
    ("bound", "status", "certain"),
    [(69, "passed", True), (70, "passed", True), (72, "failed", False), (75, "failed", True), (80, "failed", True)],
)
def test_a_bracket_around_the_limit_is_not_certain(bound: float, status: str, certain: bool) -> None:
    verdict = searched(f"max rate >= {bound} /s at p99 <= 500 ms", FOUND)
    assert verdict.status == status
    assert ("the bracket contains the limit: not certain" not in verdict.explanation) == certain


def test_where_no_rate_failed_or_none_held() -> None:
    none_failed = searched(TEXT, msgspec.structs.replace(FOUND, refuted=None, ended="time"))
    assert none_failed.measured == "at least 70.0 /s"
    assert "b4 query max rate is at least 70.0 /s (no rate failed), must be " in none_failed.explanation
    assert none_failed.explanation.endswith("time was up")
    one = searched(TEXT, msgspec.structs.replace(FOUND, refuted=None, ended="time", probes=FOUND.probes[:1]))
    assert one.explanation.endswith("; 1 rate tried, time was up")
    none_held = searched(TEXT, msgspec.structs.replace(FOUND, rate=0.0, refuted=2.0, ended="probes"))
    assert none_held.status == "failed"
    assert "is 0.000 /s (2.00 /s did not hold)" in none_held.explanation
    assert "there p99" not in none_held.explanation


def test_a_rate_that_the_client_could_not_send_is_no_upper_bound() -> None:
    probes = [FOUND.probes[0], msgspec.structs.replace(FOUND.probes[1], client_limited=True)]
    verdict = searched("max rate >= 90 /s at p99 <= 500 ms", msgspec.structs.replace(FOUND, probes=probes))
    assert (verdict.status, verdict.measured) == ("failed", "at least 70.0 /s")
    assert verdict.explanation.endswith(
        "bracket narrow enough; the load client was the limit, so the server may do more"
    )
    none_held = searched(TEXT, msgspec.structs.replace(FOUND, rate=0.0, probes=probes[1:]))
    assert none_held.measured == "0.000 /s"


def test_a_throughput_that_the_client_has_limited_is_at_least_that() -> None:
    side = msgspec.structs.replace(SIDE, client=ClientCost(cpu_share=0.9, capacity_per_s=9000))
    load = LoadEvidence(msgspec.structs.replace(PROFILE, query=side, corpus=side), 30.0, {})
    check = BudgetCheck(shape=LoadShape(1, 16), limit=parse_budget("corpus throughput >= 300 requests/s"))
    verdict = judge_load(PAIR, check, load)
    assert (verdict.status, verdict.measured, verdict.value) == ("failed", "at least 250.0 requests/s", 250)
    assert verdict.explanation == (
        "b1 c16 corpus throughput is at least 250.0 requests/s, must be >= 300 requests/s: 17% below; the load client was "
        "the limit, so the server may do more"
    )
    latency = judge_load(PAIR, msgspec.structs.replace(check, limit=parse_budget("query p99 <= 300 ms")), load)
    assert latency.measured == "210.0 ms"
    reported = judge_load(PAIR, BudgetCheck(shape=LoadShape(1, 16)), load)
    assert reported.measured == "query p50 100.0 ms, corpus at least 2,500 tok/s"


def test_texts_that_are_sent_again_are_told() -> None:
    many = [msgspec.structs.replace(FOUND.probes[0], requests=3000), FOUND.probes[1]]
    verdict = searched(TEXT, msgspec.structs.replace(FOUND, probes=many))
    assert "2 rates tried with 10,000 distinct texts, sent again, bracket" in verdict.explanation


def test_a_max_rate_for_other_hardware_judges_nothing() -> None:
    verdict = searched("max rate >= 500 /s at p99 <= 500 ms", FOUND, "H100")
    assert (verdict.status, verdict.measured) == ("skipped", "70.0 /s")
    assert verdict.explanation == "binds on H100; this is NVIDIA L4"
