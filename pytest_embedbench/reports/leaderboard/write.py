"""A leaderboard as files: for each page one of HTML, which needs nothing beside it, and one of Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytest_embedbench.core.files import write_atomically
from pytest_embedbench.rating.ratings import Rating
from pytest_embedbench.reports.drawing import missing_extra
from pytest_embedbench.reports.leaderboard import charts
from pytest_embedbench.reports.leaderboard.facts import Leaderboard, ModelEntry
from pytest_embedbench.reports.leaderboard.rendering import Pages

MIDDLE = 1500.0
"""Of the Elo scale: where the mean of all rated models lies."""
_TOO_FEW = 2
"""Fewer points make no chart."""


def write_leaderboard(board: Leaderboard, folder: Path, *, template_folder: Path | None = None) -> list[Path]:
    """Write ``index``, ``models/<name>`` and ``compare/<a>--<b>``, each as ``.html`` and ``.md``; the paths written.

    Equal boards give equal bytes. Charts need the extra ``plots``; without it the pages say so.

    Args:
        board: what ``build_leaderboard`` made.
        folder: where to write; pages of an earlier board that this one lacks stay there.
        template_folder: files in it stand for packaged templates, style or script of the same name; they run in a
            sandbox and may ``{% extends "packaged/<name>" %}``.

    Raises:
        ConfigurationError: ``template_folder`` is no folder, or holds no template.
        CardError: one of its templates does not work; names it and the line.
    """
    pages = Pages(template_folder)
    written: list[Path] = []

    def write(template: str, name: str, **facts: Any) -> None:
        for kind in ("html", "md"):
            path = folder / f"{name}.{kind}"
            root = "../" if "/" in name else ""
            write_atomically(path, pages.render(f"{template}.{kind}", board=board, root=root, **facts))
            written.append(path)

    by_name = {model.name: model for model in board.models}
    write("index", "index", charts=_index_charts(board))
    for model in board.models:
        write("model", f"models/{model.page}", model=model, charts=_model_charts(model))
    for pair in board.pairs:
        write("compare", f"compare/{pair.page}", pair=pair, a=by_name[pair.a], b=by_name[pair.b])
    return written


def _index_charts(board: Leaderboard) -> dict[str, str]:
    if missing := missing_extra():
        return {"missing": missing, "elo": "", "front": ""}
    points = {
        model.name: (model.ndcg.value, model.latency.value) for model in board.models if model.ndcg and model.latency
    }
    on_front = frozenset(model.name for model in board.models if model.on_front)
    enough = len(points) >= _TOO_FEW
    return {
        "missing": "",
        "elo": _elo_chart([(model.name, model.rating) for model in board.models], "Elo of every model"),
        "front": _safe(charts.front(points, on_front, name="front", profile=board.profile)) if enough else "",
    }


def _model_charts(model: ModelEntry) -> dict[str, str]:
    if missing := missing_extra():
        return {"missing": missing, "elo": ""}
    rated = [(row.dataset, row.rating) for row in model.datasets]
    return {"missing": "", "elo": _elo_chart(rated, f"Elo of {model.name} by dataset")}


def _elo_chart(rated: Sequence[tuple[str, Rating | None]], title: str) -> str:
    """Intervals around each Elo, highest first; empty where nothing is rated."""
    lines = [
        charts.Interval(name, rating.elo, rating.lo, rating.hi)
        for name, rating in rated
        if rating and math.isfinite(rating.elo)
    ]
    lines.sort(key=lambda line: -line.value)
    if not lines:
        return ""
    return _safe(charts.intervals(lines, name="elo", title=title, label="Elo", line_at=MIDDLE))


def _safe(svg: str) -> str:
    """Mark what the charts made as fit to print; names inside were escaped by the XML writer."""
    from markupsafe import Markup

    return Markup(svg)  # noqa: S704 - made by an XML writer
