"""What a card says of load: closed loops, loads at one rate, and the highest rates."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import pytest

from pytest_embedbench.load.quantiles import Interval
from pytest_embedbench.load.rates import MaxRate, RateProbe, RateResult
from pytest_embedbench.load.statistics import Arrivals, ClientCost, ProfileResult, SideStatistics, summarize
from pytest_embedbench.models.protocol import TokenSource
from pytest_embedbench.models.spec import ModelSpec
from pytest_embedbench.reports.cards import HighestRate, parse, render
from pytest_embedbench.reports.cards.build import build_card
from pytest_embedbench.reports.cards.facts import Figure
from pytest_embedbench.results.schema import DatasetRecord, Details, ModelRecord, PairResult

SIDE = summarize([100.0] * 400, batch=1, own_tokens=5000, tokens=6000, seconds=2.0, distinct_texts=400)
HELD = RateProbe(rate=70.04, requests=400, holds=True, p99_ms=430, p99_interval_ms=Interval(410, 460))
FAILED = RateProbe(rate=75.2, requests=90, holds=False)


def page(*profiles: ProfileResult, max_rates: dict[str, RateResult] | None = None) -> str:
    details = Details(
        model=ModelRecord(name="org/m", alias="m", revision="r", fingerprint="f", spec=ModelSpec()),
        dataset=DatasetRecord(name="facts", split="test", fingerprint="d"),
        profiles={profile.shape: profile for profile in profiles},
        max_rates=max_rates or {},
    )
    return render(build_card([PairResult(dataset_revision="d", task_name="facts", embedbench=details)]))


def at_a_rate(kept_up: bool | None) -> SideStatistics:
    came = Arrivals(rate_per_s=300, seconds=1.5, lag_ms=0.1, growth=0.2, kept_up=kept_up)
    return msgspec.structs.replace(SIDE, arrivals=came)


def profile(shape: str, query: SideStatistics, corpus: SideStatistics) -> ProfileResult:
    return ProfileResult(shape=shape, hardware="NVIDIA L4", query=query, corpus=corpus)


def test_a_line_of_a_closed_loop_has_throughput_and_that_of_a_rate_has_p99() -> None:
    text = page(profile("b1 c16", SIDE, SIDE), profile("b1 r300", at_a_rate(kept_up=True), at_a_rate(kept_up=True)))
    lines = [line for line in text.splitlines() if line.startswith("**Performance")]
    assert lines == [
        "**Performance (L4 b1 c16):** Corpus 2.5K tok/s · Corpus p50 100.0ms · Query 2.5K tok/s · Query p50 100.0ms",
        "**Performance (L4 b1 r300):** Corpus p50 100.0ms · Corpus p99 100.0ms · Query p50 100.0ms · Query p99 100.0ms",
    ]


@pytest.mark.parametrize(("source", "words"), [("usage", "the server's count"), ("estimate", "an estimate")])
def test_tokens_that_the_tokenizer_did_not_count_are_said(source: TokenSource, words: str) -> None:
    other = msgspec.structs.replace(SIDE, tokens_from=source)
    said = f"tokens under L4 b1 c16 are {words}, not the model's tokenizer's: compare them with no other server's\n"
    assert f"\nCorpus and Query {said}" in page(profile("b1 c16", other, other))
    one = page(profile("b1 c16", other, msgspec.structs.replace(SIDE, tokens_from="tokenizer")))
    assert f"\nQuery {said}" in one
    assert parse(one).sections[0].performance[0].figures["Corpus"].value == 2500
    assert "tokens under" not in page(profile("b1 c16", SIDE, SIDE))


@pytest.mark.parametrize(("kept_up", "said"), [(False, "the server did not keep up"), (None, "too short to tell")])
def test_a_side_that_does_not_show_that_it_keeps_up_has_no_latency_there(kept_up: bool | None, said: str) -> None:
    one = page(profile("b1 r300", at_a_rate(kept_up=True), at_a_rate(kept_up=kept_up)))
    assert "**Performance (L4 b1 r300):** Query p50 100.0ms · Query p99 100.0ms\n" in one
    assert f"\nCorpus under L4 b1 r300: {said}" in one
    both = page(profile("b1 r300", at_a_rate(kept_up=kept_up), at_a_rate(kept_up=kept_up)))
    assert "Performance" not in both
    assert f"\nQuery under L4 b1 r300: {said}" in both
    assert parse(both).sections[0].performance == []


def search(side: Literal["query", "corpus"], batch: int, hardware: str, found: MaxRate) -> RateResult:
    return RateResult(side=side, batch=batch, distinct_texts=9, hardware=hardware, found=found)


def test_the_highest_rates_are_a_table() -> None:
    found = MaxRate(limit_ms=500, rate=70.04, refuted=75.2, ended="precise", probes=[HELD, FAILED])
    none_held = MaxRate(limit_ms=20, rate=0.0, refuted=2.0, ended="time", probes=[FAILED])
    none_failed = MaxRate(limit_ms=20, rate=1200.0, refuted=None, ended="probes", probes=[HELD] * 16)
    text = page(
        max_rates={
            "a": search("query", 1, "NVIDIA L4", found),
            "b": search("corpus", 8, "Some | Chip", none_held),
            "c": search("query", 1, "NVIDIA L4", none_failed),
        }
    )
    assert text.split("Task: retrieval\n\n")[1] == (
        "| Side | Texts a request | p99 at most | Highest rate held | Lowest that failed | Search ended | Hardware |\n"
        "|------|-----------------|-------------|-------------------|--------------------|--------------|----------|\n"
        "| Query | 1 | 500.0ms | 70.0 requests/s | 75.2 requests/s | 2 rates tried, bracket narrow enough | L4 |\n"
        "| Corpus | 8 | 20.0ms | none | 2.00 requests/s | 1 rate tried, time was up | Some \\| Chip |\n"
        "| Query | 1 | 20.0ms | at least 1,200.0 requests/s | none | 16 rates tried, limit of 16 rates | L4 |\n"
    )
    rates = parse(text).sections[0].rates
    assert rates[0] == HighestRate(
        side="Query",
        batch=Figure(text="1"),
        limit=Figure(text="500.0ms"),
        held=Figure(text="70.0 requests/s"),
        failed=Figure(text="75.2 requests/s"),
        ended="2 rates tried, bracket narrow enough",
        hardware="L4",
    )
    assert [rate.held.value if rate.held else None for rate in rates] == [70.0, None, 1200.0]
    assert [rate.at_least for rate in rates] == [False, False, True]


def test_a_throughput_that_the_client_has_limited_is_at_least_that() -> None:
    side = msgspec.structs.replace(SIDE, client=ClientCost(cpu_share=0.9, capacity_per_s=9000))
    text = page(profile("b1 c16", SIDE, side))
    assert "**Performance (L4 b1 c16):** Corpus at least 2.5K tok/s · Corpus p50 100.0ms · Query 2.5K tok/s ·" in text
    assert parse(text).sections[0].performance[0].figures["Corpus at least"].value == 2500


def test_the_table_can_be_computed_from_the_samples(searched: tuple[Path, PairResult]) -> None:
    path, result = searched
    (row,) = parse(render(build_card([result]))).sections[0].rates
    latencies: dict[float, list[float]] = {}
    samples = (path.parent / "builtin.b1.query.max-rate-p99-400ms.csv").read_text("utf-8")
    for sample in csv.DictReader(samples.splitlines()):
        latencies.setdefault(float(sample["rate_per_s"]), []).append(float(sample["latency_ms"]))
    holds = {rate: float(np.percentile(found, 99)) <= 400 for rate, found in latencies.items()}
    held = max((rate for rate, it in holds.items() if it), default=None)
    failed = min((rate for rate, it in holds.items() if not it), default=None)
    for figure, rate in ((row.held, held), (row.failed, failed)):
        assert (figure and figure.value) == (rate and pytest.approx(rate, abs=0.06))
    assert row.ended.startswith(f"{len(latencies)} rate")
