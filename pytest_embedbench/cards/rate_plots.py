"""A plot of a search for the highest rate as SVG: latency against the rate of requests, with its knee."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_embedbench.cards.drawing import Picture, heading, legend, panels, plain_log_ticks, written
from pytest_embedbench.cards.rate_samples import RateSearch, Tried
from pytest_embedbench.cards.svg import ACCENT, GRID, MUTED, for_file
from pytest_embedbench.load.quantiles import supported

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
            points = [(tried.rate, marks[name]) for tried in search.tried if name in (marks := _marks(tried))]
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
        described = "; ".join(_in_words(tried) for tried in search.tried)
        return for_file(written(figure), name=search.slug, title=title, description=described)


def _marks(tried: Tried) -> dict[str, float]:
    """The percentiles (milliseconds) that are drawn, for which there are enough samples."""
    return {name: value for name in LINES if (value := supported(name, tried.latencies_ms)) is not None}


def _in_words(tried: Tried) -> str:
    found = "".join(f", {name} {value:.4g} ms" for name, value in _marks(tried).items())
    return f"{tried.rate:.4g} /s: {len(tried.latencies_ms):,} requests{found}"
