"""Latencies that no set of samples has, and percentiles that were computed from the mean."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.load.statistics import summarize
from pytest_embedbench.plausibility.check import check_rows
from pytest_embedbench.plausibility.latency import check_samples
from pytest_embedbench.plausibility.rows import ReportedRow, ReportedValue


def row(dataset: str = "data", **statistics: str) -> ReportedRow:
    values = {name: ReportedValue.printed(text) for name, text in statistics.items()}
    return ReportedRow(dataset=dataset, model="org/m", latencies={"b1 c16 query": values})


@pytest.mark.parametrize(
    ("statistics", "broken"),
    [
        ({"p50": "10.2", "p90": "10.0"}, "p50 <= p90"),
        ({"p90": "10.2", "p95": "10.0"}, "p90 <= p95"),
        ({"p95": "10.2", "p99": "10.0"}, "p95 <= p99"),
        ({"p99": "10.2", "max": "10.0"}, "p99 <= max"),
        ({"p50": "10.2", "max": "10.0"}, "p50 <= max"),
        ({"p50": "20.2", "mean": "10.0"}, "p50 <= 2 mean"),
        ({"p90": "102", "mean": "10.0"}, "p90 <= 10 mean"),
        ({"p95": "202", "mean": "10.0"}, "p95 <= 20 mean"),
        ({"p99": "1010", "mean": "10.0"}, "p99 <= 100 mean"),
        ({"mean": "10.2", "max": "10.0"}, "mean <= max"),
        ({"min": "10.2", "mean": "10.0"}, "min <= mean"),
    ],
)
def test_impossible_latencies(statistics: dict[str, str], broken: str) -> None:
    (found,) = check_samples(row(**statistics))
    assert found.level == "error"
    assert found.message.startswith(f"b1 c16 query: impossible: {broken} fails: ")
    assert set(found.values) == set(statistics)


def test_a_latency_below_zero() -> None:
    (found,) = check_samples(row(p50="-1.0"))
    assert "p50 is -1 ms, below zero" in found.message


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40), st.sampled_from([1, 3, 17]))
def test_real_samples_are_never_flagged(samples: list[float], decimals: int) -> None:
    side = summarize(samples * 10, batch=1, own_tokens=1, tokens=1, seconds=1, distinct_texts=1)
    found = {name: getattr(side, f"{name}_ms") for name in ("p50", "p90", "p95", "p99", "mean", "max")}
    exact = {name: value for name, value in found.items() if value is not None}
    whole = ReportedRow(dataset="d", latencies={"q": {name: ReportedValue(value) for name, value in exact.items()}})
    printed = row(**{name: f"{value:.{decimals}f}" for name, value in exact.items()})
    assert not [*check_samples(whole), *check_samples(printed)]


def test_percentiles_in_one_ratio_to_the_mean() -> None:
    made_up = [
        row(f"d{mean}", mean=f"{mean}", p50=f"{mean * 0.98:.0f}", p90=f"{mean * 1.15:.0f}")
        for mean in (9581, 11345, 20137)
    ]
    (found,) = check_rows(made_up)
    assert (found.level, found.rule, found.model, found.dataset) == ("warning", "fixed-ratios", "org/m", "")
    assert "p50 = 0.980 x mean, p90 = 1.150 x mean on each of 3 datasets (d9581, d11345, d20137)" in found.message


@pytest.mark.parametrize(
    "rows",
    [
        [(9581, 9389), (11345, 11118)],  # two may be chance
        [(9581, 9389)] * 3,  # one measurement, copied
        [(10, 10), (11, 11), (12, 12)],  # too coarse
        [(9581, 9389), (11345, 11118), (20137, 19500)],  # one differs
    ],
    ids=["two rows", "the same row", "coarse", "another ratio"],
)
def test_no_pattern(rows: list[tuple[int, int]]) -> None:
    assert not check_rows([row(f"d{n}", mean=str(mean), p50=str(p50)) for n, (mean, p50) in enumerate(rows)])


def test_measured_latencies_have_no_pattern() -> None:
    random = np.random.default_rng(0)
    rows = []
    for number in range(5):
        samples = random.lognormal(3, 0.3, size=400).tolist()
        side = summarize(samples, batch=1, own_tokens=1, tokens=1, seconds=1, distinct_texts=1)
        rows.append(row(f"d{number}", mean=f"{side.mean_ms:.1f}", p50=f"{side.p50_ms:.1f}", p90=f"{side.p90_ms:.1f}"))
    assert not check_rows(rows)


def leaderboard_rows(page: str) -> list[ReportedRow]:
    """The dataset blocks of a leaderboard's model page: a name, `ELO ...`, then names and numbers on lines of their own."""
    rows = []
    lines = page.split("\n")
    for place, line in enumerate(lines):
        if line.startswith("ELO ") and "WR" in line:
            following = [text for text in lines[place + 1 :] if text]
            block = following[: next((n for n, text in enumerate(following) if text.startswith("ELO ")), None)]
            latencies = {
                {"Mean": "mean", "P50 (Median)": "p50", "P90": "p90"}[name]: ReportedValue.printed(
                    value.removesuffix("ms")
                )
                for name, value in pairwise(block)
                if name in {"Mean", "P50 (Median)", "P90"}
            }
            dataset = next(text for text in reversed(lines[:place]) if text)
            rows.append(ReportedRow(dataset=dataset, model="qwen3-embedding-4b", latencies={"latency": latencies}))
    return rows


def test_the_leaderboard_pages_percentiles_were_not_measured(shared: Path) -> None:
    rows = leaderboard_rows((shared / "pages" / "leaderboard-model-page.txt").read_text("utf-8"))
    assert [row.dataset for row in rows] == [
        "ARCD", "MSMARCO", "FiQa", "SciFact", "PG", "NorQuAD", "DBPedia", "business reports",
    ]  # fmt: skip
    (found,) = check_rows(rows)
    assert found.rule == "fixed-ratios"
    assert "p50 = 0.980 x mean, p90 = 1.150 x mean on each of 8 datasets" in found.message
