"""Draw figures with matplotlib in the colours that ``svg`` replaces, and save them. Equal numbers give equal bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from pytest_embedbench.errors import install_command
from pytest_embedbench.reports.svg import GRID, INK, MUTED
from pytest_embedbench.reports.text import collapse

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.2
"""Inches; a page scales the picture to its own width."""
MAX_LABEL_CHARACTERS = 34
"""Characters; longer names do not fit beside an axis."""
_SETTINGS = {
    "svg.fonttype": "none",  # text stays text, for screen readers and for search
    "text.parse_math": False,  # a model's name may hold dollar signs
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "axes.edgecolor": GRID,
    "grid.color": GRID,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def install_plots() -> str:
    """Return the command that installs matplotlib for the charts; empty if it is installed."""
    return "" if find_spec("matplotlib") else install_command("plots")


@contextmanager
def panels(name: str, height: float, rows: int = 1) -> Iterator[tuple[Figure, Sequence[Axes]]]:
    """Yield a figure with ``rows`` axes, one below the other; ids inside depend on ``name`` alone.

    Args:
        name: what the ids are made from, so that the same figure has the same ids each time.
        height: of the figure, in inches.
        rows: the number of axes.
    """
    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    # From matplotlib's defaults, so that a user's matplotlibrc changes nothing. The hash salt makes ids repeatable.
    with style.context(["default", {**_SETTINGS, "svg.hashsalt": name}]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about letters that matplotlib's font lacks: the page's font has them
        # Not pyplot: it picks a backend for a screen, and keeps every figure until it is closed.
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        panel_axes = figure.subplots(rows, squeeze=False)[:, 0].tolist()
        for axes in panel_axes:
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.tick_params(length=0, pad=6)
        yield figure, panel_axes


def figure_svg(figure: Figure) -> str:
    """Return the figure as SVG, without metadata that depends on the day or on matplotlib's release."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return file.getvalue()


def plain_log_ticks(axes: Axes, times: Sequence[float]) -> None:
    """Put ticks at 1, 2 and 5 of each decade, in plain digits; from two decades on only at 1."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    narrow = max(times) / min(times) < 100  # noqa: PLR2004 - two decades
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def short_label(name: str) -> str:
    """Return the name, or its beginning if it does not fit beside an axis."""
    line = collapse(name)
    return line if len(line) <= MAX_LABEL_CHARACTERS else line[: MAX_LABEL_CHARACTERS - 1] + "…"


class Picture(NamedTuple):
    """A plot as a file; ``slug`` is the part of its name that differs between the plots of one pair."""

    slug: str
    title: str
    svg: str


def legend(axes: Axes, columns: int) -> None:
    """Put a legend above the axes, where no line is."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize=9, ncols=columns)


def heading(figure: Figure, title: str) -> None:
    """Put the title above the picture; the part behind its colon is cut if it is too long."""
    what, _, about = title.partition(": ")
    figure.suptitle(f"{what}: {short_label(about)}", x=0.01, ha="left", fontsize=11)
