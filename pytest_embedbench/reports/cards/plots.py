"""Plots of load profiles as SVG: how latencies are distributed, and what more requests in flight bring."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pytest_embedbench.load.quantiles import PERCENTILES, supported_percentile
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.reports.cards.samples import RateSearch, Tried
from pytest_embedbench.reports.drawing import Picture, heading, legend, panels, plain_log_ticks, written
from pytest_embedbench.reports.svg import ACCENT, GRID, MUTED, PAPER, for_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pytest_embedbench.reports.cards.samples import SampledProfile, Side

MARKED = ("p50", "p90", "p99")
"""Percentiles that a distribution shows, where there are enough samples for them."""
_POINTS = 400
"""A distribution is drawn through every n-th sample and the last one, so that a file stays small."""
_LOOK: Mapping[str, dict[str, Any]] = {
    "query": {"color": ACCENT, "linestyle": "-"},
    "corpus": {"color": MUTED, "linestyle": (0, (4, 2))},
}


def pictures(profiles: Sequence[SampledProfile], about: str) -> Iterator[Picture]:
    """A distribution for each profile, and throughput against concurrency where a batch size has several.

    Args:
        profiles: of one pair, in their shapes' order.
        about: the pair, as a person says it.
    """
    for profile in profiles:
        title = f"Latency under {profile.shape}: {about}"
        yield Picture(profile.shape.slug, title, _distribution(profile, title))
    # In an open loop it is not the concurrency that is given.
    closed = [(profile.shape, profile.sides) for profile in profiles if isinstance(profile.shape, LoadShape)]
    for batch, group in groupby(closed, key=lambda measured: measured[0].batch):
        if len(several := list(group)) > 1:
            title = f"Throughput and latency by concurrency, b{batch}: {about}"
            yield Picture(f"b{batch}-concurrency", title, _by_concurrency(several, f"b{batch}-concurrency", title))


def _marks(side: Side) -> dict[str, float]:
    """The marked percentiles (milliseconds) for which there are enough samples."""
    return {name: value for name in MARKED if (value := supported_percentile(name, side.latencies_ms)) is not None}


def _in_words(side: Side) -> str:
    found = "".join(f", {name} {value:.4g} ms" for name, value in _marks(side).items())
    return f"{side.name}: {len(side.latencies_ms):,} requests{found}"


def _distribution(profile: SampledProfile, title: str) -> str:
    """The share of requests that took at most so long, on a logarithmic axis, one line a side."""
    name = profile.shape.slug
    with panels(name, 3.6) as (figure, (axes,)):
        axes.set_xscale("log")
        for side in profile.sides:
            times = side.latencies_ms
            shares = [100 * rank / len(times) for rank in range(1, len(times) + 1)]
            step = -(-len(times) // _POINTS)
            look = _LOOK[side.name]
            axes.plot(
                [*times[:-1:step], times[-1]],
                [*shares[:-1:step], shares[-1]],
                drawstyle="steps-post",
                linewidth=1.8,
                label=_in_words(side),
                **look,
            )
            marks = _marks(side)
            axes.plot(
                list(marks.values()),
                [100 * PERCENTILES[mark] for mark in marks],
                "o",
                color=look["color"],
                markeredgecolor=PAPER,
                markersize=7,
            )
        for mark in MARKED:
            axes.axhline(100 * PERCENTILES[mark], color=GRID, linewidth=0.8, zorder=0)
        axes.set_yticks([0, *(100 * PERCENTILES[mark] for mark in MARKED)], ["0%", *MARKED])
        axes.set_ylim(0, 102)
        plain_log_ticks(
            axes, [time for side in profile.sides for time in (side.latencies_ms[0], side.latencies_ms[-1])]
        )
        axes.set_xlabel("latency of a request, ms (log scale)")
        axes.set_ylabel("share of requests")
        axes.grid(visible=True, axis="x", linewidth=0.6)
        legend(axes, 1)
        heading(figure, title)
        described = "; ".join(map(_in_words, profile.sides))
        return for_file(written(figure), name=name, title=title, description=described)


def _by_concurrency(measured: Sequence[tuple[LoadShape, Sequence[Side]]], name: str, title: str) -> str:
    """Texts a second above, p50 and p99 below, against requests in flight."""
    with panels(name, 5.2, rows=2) as (figure, (above, below)):
        described = []
        for index, side in enumerate(("query", "corpus")):
            points = [(shape.concurrency, sides[index]) for shape, sides in measured]
            _line(above, ((clients, found.texts_per_s) for clients, found in points), side, side)
            for mark, width in (("p50", 1.8), ("p99", 0.9)):
                marked = [(clients, value) for clients, found in points if (value := _marks(found).get(mark))]
                _line(below, marked, f"{side} {mark}", side, width=width)
            described += [
                f"{side} at c{clients}: {found.texts_per_s:.4g} texts/s"
                + "".join(f", {mark} {value:.4g} ms" for mark, value in _marks(found).items() if mark != "p90")
                for clients, found in points
            ]
        clients = [shape.concurrency for shape, _ in measured]
        for axes, label in ((above, "texts/s"), (below, "latency, ms")):
            _concurrency_axis(axes, clients)
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
            legend(axes, 4)
        below.set_xlabel("requests in flight")
        heading(figure, title)
        return for_file(written(figure), name=name, title=title, description="; ".join(described))


def _line(axes: Axes, points: Iterable[tuple[int, float]], label: str, side: str, *, width: float = 1.8) -> None:
    drawn = list(points)
    if drawn:
        axes.plot(*zip(*drawn, strict=True), marker="o", markersize=5, linewidth=width, label=label, **_LOOK[side])


def _concurrency_axis(axes: Axes, clients: Sequence[int]) -> None:
    """A tick at each concurrency that was measured, equal factors equally far apart."""
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log")
    axes.set_xticks(clients, [f"c{count}" for count in clients])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(visible=True, axis="y", linewidth=0.6)


LINES = {"p50": MUTED, "p99": ACCENT}


def rate_pictures(searches: Iterable[RateSearch], about: str) -> Iterator[Picture]:
    """p50 and p99 at each rate that was tried, and the limit on p99.

    Args:
        searches: of one pair.
        about: the pair, as a person says it.
    """
    for search in searches:
        title = f"Latency by rate, {search.name}: {about}"
        yield Picture(search.slug, title, _knee(search, title))


def _knee(search: RateSearch, title: str) -> str:
    with panels(search.slug, 3.6) as (figure, (axes,)):
        axes.set_xscale("log")
        axes.set_yscale("log")
        for name, colour in LINES.items():
            points = [(tried.rate, marks[name]) for tried in search.tried if name in (marks := _rate_marks(tried))]
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", markersize=5, linewidth=1.8, color=colour, label=name)
        axes.axhline(search.limit_ms, color=ACCENT, linewidth=0.9, linestyle=(0, (4, 2)), label="limit on p99")
        if search.highest:
            axes.axvline(search.highest, color=GRID, linewidth=1.2, zorder=0, label=f"{search.highest:.4g} /s held")
        plain_log_ticks(axes, [tried.rate for tried in search.tried])
        axes.set_xlabel("requests a second (log scale)")
        axes.set_ylabel("latency, ms (log scale)")
        axes.grid(visible=True, axis="y", linewidth=0.6)
        legend(axes, 4)
        heading(figure, title)
        described = "; ".join(_rate_in_words(tried) for tried in search.tried)
        return for_file(written(figure), name=search.slug, title=title, description=described)


def _rate_marks(tried: Tried) -> dict[str, float]:
    """The percentiles (milliseconds) that are drawn, for which there are enough samples."""
    return {name: value for name in LINES if (value := supported_percentile(name, tried.latencies_ms)) is not None}


def _rate_in_words(tried: Tried) -> str:
    found = "".join(f", {name} {value:.4g} ms" for name, value in _rate_marks(tried).items())
    return f"{tried.rate:.4g} /s: {len(tried.latencies_ms):,} requests{found}"
