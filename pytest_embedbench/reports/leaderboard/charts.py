"""Draw a leaderboard's charts as SVG with matplotlib. Equal numbers give equal bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from pytest_embedbench.reports.drawing import figure_svg, panels, plain_log_ticks, short_label
from pytest_embedbench.reports.svg import ACCENT, INK, MUTED, PAPER, for_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class IntervalLine(NamedTuple):
    """One line of an interval chart; without bounds only the point is drawn."""

    name: str
    value: float
    lo: float | None
    hi: float | None


def intervals(lines: Sequence[IntervalLine], *, name: str, title: str, label: str, line_at: float | None = None) -> str:
    """Return a chart of values with their intervals, one below the other, the first on top.

    Args:
        lines: the values.
        name: prefix of the picture's ids.
        title: the picture's title.
        label: the axis label.
        line_at: where a vertical line for comparison stands.
    """
    described = "; ".join(_in_words(line) for line in lines)
    with panels(name, 0.75 + 0.28 * len(lines)) as (figure, (axes,)):
        for row, line in enumerate(lines):
            if line.lo is not None and line.hi is not None:
                axes.plot([line.lo, line.hi], [row, row], color=ACCENT, linewidth=2, solid_capstyle="round")
            axes.plot([line.value], [row], "o", color=ACCENT, markeredgecolor=PAPER, markersize=7)
        if line_at is not None:
            axes.axvline(line_at, color=MUTED, linewidth=1, linestyle=(0, (3, 3)), zorder=0)
        axes.set_yticks(range(len(lines)), [short_label(line.name) for line in lines])
        axes.set_ylim(len(lines) - 0.5, -0.5)  # upside down: the first line is on top
        axes.set_xlabel(label)
        axes.grid(visible=True, axis="x", linewidth=0.6)
        return for_page(figure_svg(figure), name=name, title=title, description=described)


def _in_words(line: IntervalLine) -> str:
    interval = "" if line.lo is None or line.hi is None else f" ({line.lo:.0f} to {line.hi:.0f})"
    return f"{line.name} {line.value:.0f}{interval}"


def front(points: Mapping[str, tuple[float, float]], on_front: frozenset[str], *, name: str, profile: str) -> str:
    """Return a scatter chart of quality against latency, with the Pareto front marked.

    Args:
        points: model -> (mean nDCG@10, p50 of a query in milliseconds).
        on_front: the models on the Pareto front.
        name: prefix of the picture's ids.
        profile: the load that the latencies were measured under, for the description.
    """
    ordered = sorted(points.items(), key=lambda point: (point[1][1], point[0]))
    edge = [(time, quality) for model, (quality, time) in ordered if model in on_front]
    best = ", ".join(model for model, _ in ordered if model in on_front)
    described = f"nDCG@10 against the p50 of a query, {profile}. On the Pareto front, fastest first: {best}."
    with panels(name, 4.2) as (figure, (axes,)):
        axes.set_xscale("log")
        axes.plot(*zip(*edge, strict=True), color=ACCENT, linewidth=1.2, drawstyle="steps-post", zorder=1)
        for model, (quality, time) in ordered:
            colour = ACCENT if model in on_front else MUTED
            axes.plot([time], [quality], "o", color=colour, markeredgecolor=PAPER, markersize=8, zorder=2)
        axes.margins(0.12)
        plain_log_ticks(axes, [time for _, time in points.values()])
        axes.set_xlabel("p50 latency of a query, ms (log scale; left is faster)")
        axes.set_ylabel("mean nDCG@10")
        axes.grid(visible=True, linewidth=0.6)
        _label_points(figure, axes, ordered, edge, on_front)
        return for_page(figure_svg(figure), name=name, title="Quality against latency", description=described)


Box = tuple[tuple[float, float], tuple[float, float]]
"""Pixels; (left, low), (right, high)."""
_PLACES = ((8, 0, "left"), (-8, 6, "right"), (0, 11, "center"), (8, -9, "left"), (-8, -9, "right"))
"""Points; where a name may stand: offsets to the right of and above its dot, and its alignment; tried in order."""
_DOT_RADIUS = 5
"""Pixels; half the width of a dot with a little room around it."""


def _label_points(
    figure: Figure,
    axes: Axes,
    ordered: Sequence[tuple[str, tuple[float, float]]],
    edge: Sequence[tuple[float, float]],
    on_front: frozenset[str],
) -> None:
    """Write names beside the dots where there is room, those on the front first; the table has all names."""
    figure.draw_without_rendering()  # the layout must be final before pixels are compared
    pixels = axes.transData.transform
    taken = [_around(*pixels((time, quality)).tolist()) for _, (quality, time) in ordered]
    # Pixels rather than data: the axis is logarithmic, and the size of a text is known in pixels only.
    taken += _steps(pixels(edge).tolist())
    inside = axes.get_window_extent()
    for model, (quality, time) in sorted(ordered, key=lambda point: point[0] not in on_front):
        colour = INK if model in on_front else MUTED
        for right, up, align in _PLACES:
            # Drawn to learn its size, and removed again if it does not fit.
            text = axes.annotate(
                short_label(model),
                (time, quality),
                (right, up),
                textcoords="offset points",
                ha=align,
                va="center",
                fontsize=9,
                color=colour,
            )
            bounds = text.get_window_extent()
            box = ((bounds.x0, bounds.y0), (bounds.x1, bounds.y1))
            fits = inside.x0 <= bounds.x0 and bounds.x1 <= inside.x1
            if fits and not any(_overlap(box, other) for other in taken):
                taken.append(box)
                break
            text.remove()


def _around(x: float, y: float) -> Box:
    return (x - _DOT_RADIUS, y - _DOT_RADIUS), (x + _DOT_RADIUS, y + _DOT_RADIUS)


def _steps(corners: Sequence[Sequence[float]]) -> list[Box]:
    """Return boxes around the front's line, which runs right and then up from each point to the next."""
    boxes: list[Box] = []
    for (x, y), (next_x, next_y) in pairwise(corners):
        boxes += [((x, y - 1), (next_x, y + 1)), ((next_x - 1, y), (next_x + 1, next_y))]
    return boxes


def _overlap(box: Box, other: Box) -> bool:
    (left, low), (right, high) = box
    (other_left, other_low), (other_right, other_high) = other
    return left < other_right and other_left < right and low < other_high and other_low < high
