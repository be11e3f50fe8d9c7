"""Drawing with matplotlib: a figure in the colours that ``svg`` knows, and its text. Equal numbers give equal bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from pytest_embedbench.reports.svg import GRID, INK, MUTED
from pytest_embedbench.reports.text import collapse

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.2
"""Inches; a page scales the picture to its own width."""
_LABEL = 34
"""Characters of a name that fit beside an axis."""
_SETTINGS = {
    "svg.fonttype": "none",
    "text.parse_math": False,
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


def missing_extra() -> str:
    """How to get charts where matplotlib is missing; empty where it is there."""
    return "" if find_spec("matplotlib") else "pip install 'pytest-embedbench[plots]'"


@contextmanager
def panels(name: str, height: float, rows: int = 1) -> Iterator[tuple[Figure, Sequence[Axes]]]:
    """A figure of that height (inches) with axes one below the other; ids inside depend on ``name`` alone."""
    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with style.context(["default", {**_SETTINGS, "svg.hashsalt": name}]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that its own font lacks: the page's font has them
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        drawn = figure.subplots(rows, squeeze=False)[:, 0].tolist()
        for axes in drawn:
            axes.spines[["top", "right", "left"]].set_visible(False)
            axes.tick_params(length=0, pad=6)
        yield figure, drawn


def written(figure: Figure) -> str:
    """The figure as SVG, without what depends on the day or on matplotlib's release."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return file.getvalue()


def plain_log_ticks(axes: Axes, times: Sequence[float]) -> None:
    """Ticks at 1, 2 and 5 of each decade, in plain digits."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    few = max(times) / min(times) < 100  # noqa: PLR2004 - two decades
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def short(name: str) -> str:
    """The name, or its beginning where it does not fit beside an axis."""
    line = collapse(name)
    return line if len(line) <= _LABEL else line[: _LABEL - 1] + "…"


class Picture(NamedTuple):
    """A plot: what tells its file from others of its pair, what it shows, and the file's text."""

    slug: str
    title: str
    svg: str


def legend(axes: Axes, columns: int) -> None:
    """Above the axes, where no line is."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), frameon=False, fontsize=9, ncols=columns)


def heading(figure: Figure, title: str) -> None:
    """The beginning of what the picture shows, where it is too long."""
    what, _, about = title.partition(": ")
    figure.suptitle(f"{what}: {short(about)}", x=0.01, ha="left", fontsize=11)
