"""Write a leaderboard as files: each page as HTML, which needs no other file, and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pytest_embedbench.core.files import write_atomically
from pytest_embedbench.rating.online import MEAN_ELO
from pytest_embedbench.rating.ratings import Rating
from pytest_embedbench.reports.drawing import install_plots
from pytest_embedbench.reports.leaderboard import charts
from pytest_embedbench.reports.leaderboard.facts import Leaderboard, ModelEntry
from pytest_embedbench.reports.leaderboard.rendering import Pages

_MIN_FRONT_POINTS = 2
"""Models; with fewer there is no chart of quality against latency."""


class Page(NamedTuple):
    """One page of a board.

    Args:
        template: the name of its templates in ``templates/leaderboard``: ``<template>.html.j2``, ``<template>.md.j2``.
            If there is only one of the two, only that page is written.
        name: its path below the board's folder, without ending.
        facts: what the template gets beside ``board`` and ``root``.
    """

    template: str
    name: str
    facts: Mapping[str, object] = {}


def board_pages(board: Leaderboard) -> Iterator[Page]:
    """Yield every page of the board. A new kind of page is one more line here, and its templates."""
    by_name = {model.name: model for model in board.models}
    yield Page("index", "index", {"charts": _index_charts(board)})
    for model in board.models:
        yield Page("model", f"models/{model.page}", {"model": model, "charts": _model_charts(model)})
    for pair in board.pairs:
        yield Page("compare", f"compare/{pair.page}", {"pair": pair, "a": by_name[pair.a], "b": by_name[pair.b]})


def write_leaderboard(board: Leaderboard, folder: Path, *, template_folder: Path | None = None) -> list[Path]:
    """Write ``index``, ``models/<name>`` and ``compare/<a>--<b>``, each as ``.html`` and ``.md``; return the paths.

    Equal boards give equal bytes. Charts need the extra ``plots``; without it the pages say so.

    Args:
        board: the facts, from ``build_leaderboard``.
        folder: where to write. Pages of an earlier board that this one lacks are not removed.
        template_folder: files in it replace packaged templates, style or script of the same name. They run in a
            sandbox and may ``{% extends "packaged/<name>" %}``.

    Raises:
        ConfigurationError: ``template_folder`` is not a folder, or holds no template.
        CardError: one of its templates does not work; ``where`` has the template and the line.
    """
    pages = Pages(template_folder)  # first, so that a wrong folder is an error before any page is written
    written = []
    for page in board_pages(board):
        # Relative links, so that the folder can be moved and read from disk.
        root = "../" if "/" in page.name else ""
        for kind in pages.kinds(page.template):
            path = folder / f"{page.name}.{kind}"
            write_atomically(path, pages.render(f"{page.template}.{kind}", board=board, root=root, **page.facts))
            written.append(path)
    return written


def _index_charts(board: Leaderboard) -> dict[str, str]:
    if missing := install_plots():
        return {"missing": missing, "elo": "", "front": ""}
    points = {
        model.name: (model.ndcg.value, model.latency.value) for model in board.models if model.ndcg and model.latency
    }
    on_front = frozenset(model.name for model in board.models if model.on_front)
    enough = len(points) >= _MIN_FRONT_POINTS
    return {
        "missing": "",
        "elo": _elo_chart([(model.name, model.rating) for model in board.models], "Elo of every model"),
        "front": _safe(charts.front(points, on_front, name="front", profile=board.profile)) if enough else "",
    }


def _model_charts(model: ModelEntry) -> dict[str, str]:
    if missing := install_plots():
        return {"missing": missing, "elo": ""}
    rated = [(row.dataset, row.rating) for row in model.datasets]
    return {"missing": "", "elo": _elo_chart(rated, f"Elo of {model.name} by dataset")}


def _elo_chart(rated: Sequence[tuple[str, Rating | None]], title: str) -> str:
    """Return a chart of each Elo with its interval, highest first; empty if nothing is rated."""
    lines = [
        charts.IntervalLine(name, rating.elo, rating.lo, rating.hi)
        for name, rating in rated
        if rating and math.isfinite(rating.elo)
    ]
    lines.sort(key=lambda line: -line.value)
    if not lines:
        return ""
    return _safe(charts.intervals(lines, name="elo", title=title, label="Elo", line_at=MEAN_ELO))


def _safe(svg: str) -> str:
    """Mark a chart as fit to print; the XML writer has escaped the names in it."""
    from markupsafe import Markup

    return Markup(svg)  # noqa: S704 - made by an XML writer
