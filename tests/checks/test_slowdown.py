"""The verdict on a ratio: only the interval's near end can fail it."""

from __future__ import annotations

import msgspec
import pytest

from pytest_embedbench.checks.slowdown import Side, SlowdownCheck, judge_slowdown
from pytest_embedbench.checks.verdict import PairNames
from pytest_embedbench.load.ratio import SideSlowdown, SlowdownResult
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.models.spec import ModelSpec, NamedModel

PAIR = PairNames("new", "data")
SIDE = SideSlowdown(
    ratio=1.2,
    low=1.15,
    high=1.25,
    confidence=0.95,
    pairs=1040,
    model_ms=12.0,
    baseline_ms=10.0,
    seconds=7.25,
    stopped="precise",
    texts=4160,
    distinct_texts=4160,
)


def check(limit: float, side: Side = "query") -> SlowdownCheck:
    against = NamedModel(alias="old", spec=ModelSpec(hub="org/old"))
    return SlowdownCheck(shape=LoadShape(1, 4), side=side, against=against, max_slowdown=limit, confidence=0.95)


def result(query: SideSlowdown = SIDE, corpus: SideSlowdown = SIDE) -> SlowdownResult:
    return SlowdownResult(
        shape="b1 c4",
        against="old",
        against_revision="abc",
        against_fingerprint="f" * 64,
        hardware="NVIDIA L4",
        measured_on="2026-11-24",
        query=query,
        corpus=corpus,
    )


@pytest.mark.parametrize(
    ("limit", "status", "told"),
    [
        (1.1, "failed", "more than max_slowdown 1.1 even at the interval's near end"),
        (1.149999, "failed", "more than max_slowdown 1.15 even at the interval's near end"),
        (1.15, "passed", "the interval is too wide to tell whether that is more than max_slowdown 1.15"),
        (1.2, "passed", "the interval is too wide to tell whether that is more than max_slowdown 1.2"),
        (1.2499, "passed", "the interval is too wide to tell whether that is more than max_slowdown 1.2499"),
        (1.25, "passed", "within max_slowdown 1.25"),
        (3, "passed", "within max_slowdown 3"),
    ],
)
def test_the_near_end_decides(limit: float, status: str, told: str) -> None:
    verdict = judge_slowdown(PAIR, check(limit), result())
    assert verdict.status == status
    assert f"(95% interval 1.150 to 1.250): {told}; medians" in verdict.explanation


def test_all_that_is_said() -> None:
    verdict = judge_slowdown(PAIR, check(1.1), result())
    assert msgspec.structs.asdict(verdict) == {
        "model": "new",
        "dataset": "data",
        "check": "slowdown b1 c4 query",
        "status": "failed",
        "measured": "1.200x (1.150 to 1.250)",
        "limit": "<= 1.1x of old",
        "value": 1.2,
        "explanation": "query under b1 c4 takes 1.200 times as long as with old (95% interval 1.150 to 1.250): "
        "more than max_slowdown 1.1 even at the interval's near end; medians 12.00 ms and 10.00 ms, 1,040 pairs "
        "in 7.2 s (narrow enough), on NVIDIA L4",
    }


def test_each_side_has_its_own_verdict() -> None:
    fast = msgspec.structs.replace(SIDE, ratio=0.9, low=0.85, high=0.95)
    found = result(corpus=fast)
    assert judge_slowdown(PAIR, check(1.1, "query"), found).status == "failed"
    verdict = judge_slowdown(PAIR, check(1.1, "corpus"), found)
    assert (verdict.check, verdict.status, verdict.value) == ("slowdown b1 c4 corpus", "passed", 0.9)


def test_what_makes_an_interval_less_sure_is_said() -> None:
    short = msgspec.structs.replace(SIDE, stopped="time", distinct_texts=6)
    text = judge_slowdown(PAIR, check(1.1), result(short)).explanation
    assert "1,040 pairs, of 6 distinct texts in 7.2 s (time was up)" in text


class Lexical:
    """The evidence of a model without vectors."""

    names = PairNames("bm25", "data")
    has_vectors = False


def test_skipped() -> None:
    verdict = check(1.1).judge(Lexical())  # type: ignore[arg-type]  # it must not ask for more
    assert (verdict.status, verdict.limit) == ("skipped", "<= 1.1x of old")
    assert verdict.explanation == "a lexical reference has no load profile"
