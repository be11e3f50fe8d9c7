"""Plots of searches for the highest rate: drawn from the samples on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from pytest_embedbench.errors import ResultError
from pytest_embedbench.reports.cards import parse
from pytest_embedbench.reports.cards.plots import rate_pictures
from pytest_embedbench.reports.cards.samples import RateSearch, SampledRate, rate_searches
from pytest_embedbench.reports.cards.write import write_cards
from pytest_embedbench.reports.svg import SVG

if TYPE_CHECKING:
    from pytest_embedbench.results.schema import PairResult


def texts(svg: str) -> list[str]:
    root = ET.fromstring(svg)  # noqa: S314 - our own
    return ["".join(element.itertext()).strip() for element in root.iter(f"{{{SVG}}}text")]


def test_the_plot_lies_beside_the_card_and_shows_what_the_samples_say(
    searched: tuple[Path, PairResult], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plots")
    path, result = searched
    (search,) = rate_searches(path, result)
    (record,) = result.embedbench.max_rates.values()
    assert (search.limit_ms, search.highest) == (400.0, record.found.rate)
    assert {f"{probe.rate:.6g}" for probe in record.found.probes} == {f"{tried.rate:.6g}" for tried in search.tried}
    ((_, card, _),) = write_cards([searched], tmp_path / "cards")
    assert card
    (plot,) = parse(card.read_text("utf-8")).sections[0].plots
    assert plot.text.startswith("Latency by rate, b1 query at p99 <= 400 ms: ")
    (file,) = card.parent.glob("*.svg")
    assert {"requests a second (log scale)", "limit on p99"} <= set(texts(file.read_text("utf-8")))


def test_a_search_without_its_samples_is_not_drawn_and_broken_ones_are_an_error(
    searched: tuple[Path, PairResult],
) -> None:
    path, result = searched
    (file,) = path.parent.glob("*max-rate*.csv")
    file.write_text("rate_per_s,sent_s,latency_ms,queue_ms\nfast,0,1,\n", "utf-8")
    with pytest.raises(ResultError, match=r"max-rate.*no latency samples"):
        list(rate_searches(path, result))
    file.unlink()
    assert list(rate_searches(path, result)) == []


def test_percentiles_are_drawn_where_there_are_enough_samples() -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plots")
    many = [float(time) for time in range(1, 402)]
    search = RateSearch(
        "b1 query at p99 <= 500 ms", "s", 500.0, 20.0, [SampledRate(20.0, many), SampledRate(40.0, [900.0] * 7)]
    )
    (picture,) = rate_pictures([search], "a model on data")
    assert {"p50", "p99", "limit on p99", "20 /s held"} <= set(texts(picture.svg))
    root = ET.fromstring(picture.svg)  # noqa: S314 - our own
    described = "".join(root.itertext())
    assert "20 /s: 401 requests, p50 201 ms, p99 397 ms" in described
    assert "40 /s: 7 requests, p50 900 ms" in described
    assert picture == next(rate_pictures([search], "a model on data")), "equal numbers give equal bytes"
