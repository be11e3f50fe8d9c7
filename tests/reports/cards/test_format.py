"""Numbers as printed, and read back."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.reports.cards import Figure, metric_label, metric_name
from pytest_embedbench.reports.cards.format import count, latency, parameters, rate, request_rate, score


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("6.1K tok/s", 6100.0, "tok/s"),
        ("333 tok/s", 333.0, "tok/s"),
        ("553.1ms", 553.1, "ms"),
        ("57,599", 57599.0, ""),
        ("0.1447", 0.1447, ""),
        ("-0.0120", -0.012, ""),
        ("4.0B", 4e9, ""),
        ("1.1M tok/s", 1.1e6, "tok/s"),
        ("32,768 tokens", 32768.0, "tokens"),
        ("5MB", 5.0, "MB"),
        ("16 B", 16.0, "B"),
        ("99.5%", 99.5, "%"),
        ("12µs", 12.0, "µs"),
    ],
)
def test_figure(text: str, value: float, unit: str) -> None:
    figure = Figure(text=text)
    assert (figure.value, figure.unit) == (value, unit)


@pytest.mark.parametrize("text", ["", "fast", "1,23", "1.2.3", "1 2", "nan", "5 (note)", "1\n", "٣", "6.1K  tok/s"])
def test_no_figure(text: str) -> None:
    with pytest.raises(ValueError, match="expected a number"):
        Figure(text=text)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.25, "0.250 requests/s"), (7.5, "7.50 requests/s"), (70, "70.0 requests/s"), (12_345.6, "12,345.6 requests/s")],
)
def test_request_rate(value: float, text: str) -> None:
    assert request_rate(value) == text
    assert (Figure(text=text).value, Figure(text=text).unit) == (value, "requests/s")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.0 tok/s"),
        (-0.0, "0.0 tok/s"),
        (9.94, "9.9 tok/s"),
        (9.96, "10 tok/s"),
        (333.3, "333 tok/s"),
        (999.4, "999 tok/s"),
        (999.96, "1.0K tok/s"),
        (6_149, "6.1K tok/s"),
        (999_949, "999.9K tok/s"),
        (999_960, "1.0M tok/s"),
        (2_500_000, "2.5M tok/s"),
    ],
)
def test_rate(value: float, text: str) -> None:
    assert rate(value) == text


def test_other_numbers() -> None:
    assert rate(12, "texts/s") == "12 texts/s"
    assert latency(553.14) == "553.1ms"
    assert count(57599) == "57,599"
    assert score(0.14468) == "0.1447"
    assert score(-0.00001) == "0.0000"
    assert score(-0.25) == "-0.2500"
    assert [parameters(n) for n in (500, 4_022_468_096, 22_713_216, 999_960)] == [
        "500",
        "4.0B",
        "22.7M",
        "1.0M",
    ]


@pytest.mark.parametrize("function", [rate, latency, count, parameters])
@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_no_measurement(function: object, value: float) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match="expected a finite number, zero or more"):
        function(value)


def test_no_score() -> None:
    with pytest.raises(ValueError, match="expected a finite score"):
        score(math.nan)


@given(st.floats(0, 1e14))
def test_a_rate_reads_back_to_the_digits_shown(value: float) -> None:
    figure = Figure(text=rate(value))
    assert figure.unit == "tok/s"
    # Half a unit of the last digit: 0.05 below 10, 0.5 below 1000, 0.05 of the magnitude above it.
    assert math.isclose(figure.value, value, rel_tol=0.0501, abs_tol=0.0501)


@given(st.floats(0, 1e14), st.floats(0, 1e14))
def test_a_rate_keeps_the_order(one: float, other: float) -> None:
    low, high = sorted([one, other])
    assert Figure(text=rate(low)).value <= Figure(text=rate(high)).value


@given(st.floats(0, 1e14))
def test_a_rate_prints_again_as_it_is(value: float) -> None:
    assert rate(Figure(text=rate(value)).value) == rate(value)


@given(st.floats(0, 1e9))
def test_a_latency_reads_back(value: float) -> None:
    figure = Figure(text=latency(value))
    assert figure.unit == "ms"
    assert math.isclose(figure.value, value, abs_tol=0.0501)


@given(st.integers(0, 10**15))
def test_a_count_reads_back_exactly(value: int) -> None:
    assert Figure(text=count(value)).value == value


@given(st.floats(-1, 1))
def test_a_score_reads_back(value: float) -> None:
    assert math.isclose(Figure(text=score(value)).value, value, abs_tol=0.0000501)


@given(st.integers(0, 10**14))
def test_parameters_read_back(value: int) -> None:
    assert math.isclose(Figure(text=parameters(value)).value, value, rel_tol=0.0501)


def test_metric_names() -> None:
    assert metric_name("ndcg at 10") == "ndcg@10"
    assert metric_label("ndcg@10") == "ndcg at 10"
    assert metric_name("map") == metric_label("map") == "map"
    assert metric_name("look at me") == "look at me"


@given(st.from_regex(r"[a-z_]+(@[0-9]{1,4})?", fullmatch=True))
def test_a_metric_name_comes_back(name: str) -> None:
    assert metric_name(metric_label(name)) == name
