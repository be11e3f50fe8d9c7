"""Plot load profiles and rate searches as SVG, for the files beside a card."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from pytest_embedbench.load.quantiles import PERCENTILES, supported_percentile
from pytest_embedbench.load.shape import LoadShape
from pytest_embedbench.reports.drawing import Picture, figure_svg, heading, legend, panels, plain_log_ticks
from pytest_embedbench.reports.svg import ACCENT, GRID, MUTED, PAPER, for_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pytest_embedbench.reports.cards.samples import RateSearch, SampledProfile, SampledRate, SampledSide

PROFILE_PERCENTILES = ("p50", "p90", "p99")
"""Percentiles that a profile's distribution marks, if there are enough samples for them."""
RATE_COLOURS = {"p50": MUTED, "p99": ACCENT}
"""Percentiles that a rate search's plot draws, and the colours of their lines."""
MAX_POINTS = 400
"""Points of a distribution's line: every n-th sample and the last one, so that the file stays small."""
# Solid and dashed, so that the sides can be told apart without colours.
_SIDE_STYLES: Mapping[str, dict[str, Any]] = {
    "query": {"color": ACCENT, "linestyle": "-"},
    "corpus": {"color": MUTED, "linestyle": (0, (4, 2))},
}


def profile_pictures(profiles: Sequence[SampledProfile], about: str) -> Iterator[Picture]:
    """Yield a distribution for each profile, and throughput against concurrency for batch sizes with several profiles.

    Args:
        profiles: of one pair, in their shapes' order.
        about: the pair for the title, e.g. ``minilm on nfcorpus``.
    """
    for profile in profiles:
        title = f"Latency under {profile.shape}: {about}"
        yield Picture(profile.shape.slug, title, _distribution(profile, title))
    # Only closed loops: in an open loop the rate is given, not the concurrency.
    closed = [(profile.shape, profile.sides) for profile in profiles if isinstance(profile.shape, LoadShape)]
    for batch, group in groupby(closed, key=lambda measured: measured[0].batch):
        if len(several := list(group)) > 1:
            title = f"Throughput and latency by concurrency, b{batch}: {about}"
            yield Picture(f"b{batch}-concurrency", title, _by_concurrency(several, f"b{batch}-concurrency", title))


def rate_pictures(searches: Iterable[RateSearch], about: str) -> Iterator[Picture]:
    """Yield, for each search, a plot of p50 and p99 at each rate that was tried, and of the limit on p99.

    Args:
        searches: of one pair.
        about: the pair for the title, e.g. ``minilm on nfcorpus``.
    """
    for search in searches:
        title = f"Latency by rate, {search.name}: {about}"
        yield Picture(search.slug, title, _by_rate(search, title))


def _percentiles(names: Iterable[str], latencies_ms: Sequence[float]) -> dict[str, float]:
    """Return these percentiles (milliseconds), but only those for which there are enough samples."""
    return {name: value for name in names if (value := supported_percentile(name, latencies_ms)) is not None}


def _in_words(label: str, latencies_ms: Sequence[float], names: Iterable[str]) -> str:
    values = "".join(f", {name} {value:.4g} ms" for name, value in _percentiles(names, latencies_ms).items())
    return f"{label}: {len(latencies_ms):,} requests{values}"


def _side_in_words(side: SampledSide) -> str:
    return _in_words(side.name, side.latencies_ms, PROFILE_PERCENTILES)


def _distribution(profile: SampledProfile, title: str) -> str:
    """Plot the share of requests that took at most a given time, on a logarithmic axis, one line a side."""
    name = profile.shape.slug
    with panels(name, 3.6) as (figure, (axes,)):
        axes.set_xscale("log")
        for side in profile.sides:
            times = side.latencies_ms
            shares = [100 * rank / len(times) for rank in range(1, len(times) + 1)]
            step = -(-len(times) // MAX_POINTS)  # rounded up
            style = _SIDE_STYLES[side.name]
            axes.plot(
                [*times[:-1:step], times[-1]],
                [*shares[:-1:step], shares[-1]],
                drawstyle="steps-post",
                linewidth=1.8,
                label=_side_in_words(side),
                **style,
            )
            marks = _percentiles(PROFILE_PERCENTILES, times)
            axes.plot(
                list(marks.values()),
                [100 * PERCENTILES[mark] for mark in marks],
                "o",
                color=style["color"],
                markeredgecolor=PAPER,
                markersize=7,
            )
        for mark in PROFILE_PERCENTILES:
            axes.axhline(100 * PERCENTILES[mark], color=GRID, linewidth=0.8, zorder=0)
        levels = [100 * PERCENTILES[mark] for mark in PROFILE_PERCENTILES]
        axes.set_yticks([0, *levels], ["0%", *PROFILE_PERCENTILES])
        axes.set_ylim(0, 102)  # a little above 100%, so that the line is not cut there
        ends = [time for side in profile.sides for time in (side.latencies_ms[0], side.latencies_ms[-1])]
        plain_log_ticks(axes, ends)
        axes.set_xlabel("latency of a request, ms (log scale)")
        axes.set_ylabel("share of requests")
        axes.grid(visible=True, axis="x", linewidth=0.6)
        legend(axes, 1)
        heading(figure, title)
        description = "; ".join(map(_side_in_words, profile.sides))
        return for_file(figure_svg(figure), name=name, title=title, description=description)


def _by_concurrency(measured: Sequence[tuple[LoadShape, Sequence[SampledSide]]], name: str, title: str) -> str:
    """Plot texts per second above, p50 and p99 below, against requests in flight."""
    with panels(name, 5.2, rows=2) as (figure, (above, below)):
        in_words = []
        for index, side in enumerate(("query", "corpus")):  # the order of ``SampledProfile.sides``
            points = [(shape.concurrency, sides[index]) for shape, sides in measured]
            _line(above, ((clients, sampled.texts_per_s) for clients, sampled in points), side, side)
            for mark, width in (("p50", 1.8), ("p99", 0.9)):
                marked = [
                    (clients, value)
                    for clients, sampled in points
                    if (value := _percentiles([mark], sampled.latencies_ms).get(mark))
                ]
                _line(below, marked, f"{side} {mark}", side, width=width)
            for clients, sampled in points:
                values = _percentiles(("p50", "p99"), sampled.latencies_ms).items()
                latencies = "".join(f", {mark} {value:.4g} ms" for mark, value in values)
                in_words.append(f"{side} at c{clients}: {sampled.texts_per_s:.4g} texts/s{latencies}")
        concurrencies = [shape.concurrency for shape, _ in measured]
        for axes, label in ((above, "texts/s"), (below, "latency, ms")):
            _concurrency_axis(axes, concurrencies)
            axes.set_ylabel(label)
            axes.set_ylim(bottom=0)
            legend(axes, 4)
        below.set_xlabel("requests in flight")
        heading(figure, title)
        return for_file(figure_svg(figure), name=name, title=title, description="; ".join(in_words))


def _line(axes: Axes, points: Iterable[tuple[int, float]], label: str, side: str, *, width: float = 1.8) -> None:
    if not (pairs := list(points)):  # too few samples for this percentile at any concurrency
        return
    style = _SIDE_STYLES[side]
    axes.plot(*zip(*pairs, strict=True), marker="o", markersize=5, linewidth=width, label=label, **style)


def _concurrency_axis(axes: Axes, clients: Sequence[int]) -> None:
    """Put a tick at each concurrency that was measured, on a logarithmic axis."""
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log")
    axes.set_xticks(clients, [f"c{count}" for count in clients])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(visible=True, axis="y", linewidth=0.6)


def _by_rate(search: RateSearch, title: str) -> str:
    """Plot p50 and p99 against the rate, both on logarithmic axes, with the limit and the highest rate that held."""
    with panels(search.slug, 3.6) as (figure, (axes,)):
        axes.set_xscale("log")
        axes.set_yscale("log")
        for name, colour in RATE_COLOURS.items():
            points = [
                (tried.rate, value)
                for tried in search.tried
                if (value := supported_percentile(name, tried.latencies_ms)) is not None
            ]
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
        description = "; ".join(map(_rate_in_words, search.tried))
        return for_file(figure_svg(figure), name=search.slug, title=title, description=description)


def _rate_in_words(tried: SampledRate) -> str:
    return _in_words(f"{tried.rate:.4g} /s", tried.latencies_ms, RATE_COLOURS)
