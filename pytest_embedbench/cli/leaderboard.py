"""``embedbench leaderboard``: which model is better, from judgments of pairs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pytest_embedbench.rating.ratings import METHODS, RATINGS, Method

if TYPE_CHECKING:
    from pytest_embedbench.rating.ratings import Rating, Ratings


@click.command("leaderboard")
@click.argument("paths", metavar="[RESULTS]...", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--judgments",
    multiple=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Judgments of pairs, as JSON lines or CSV; one file or more.",
)
@click.option("--exclude", multiple=True, metavar="MODEL", help="A model to leave out; repeatable, or with commas.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("leaderboard"),
    show_default=True,
    help="Folder for ratings.json and the pages.",
)
@click.option("--data", multiple=True, metavar="FOLDER_OR_NAME", help="Data whose texts the pages show; repeatable.")
@click.option("--profile", default="", metavar="'b1 c16'", help="Load that latencies are of; else what most have.")
@click.option(
    "--measure",
    default="ndcg@10",
    show_default=True,
    help="What results are compared by, where no judgments are given.",
)
@click.option(
    "--margin", type=click.FloatRange(0), default=0.0, show_default=True, help="A difference up to it is a tie."
)
@click.option("--queries", type=click.IntRange(1), help="Compare results on so many queries of a dataset; else on all.")
@click.option(
    "--templates",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of your own templates for the pages.",
)
@click.option("--method", type=click.Choice(METHODS), default="bradley-terry", show_default=True, help="How to rate.")
@click.option(
    "--rounds", type=click.IntRange(1), default=1000, show_default=True, help="Of the bootstrap over queries."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the bootstrap and of --queries.")
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.95,
    show_default=True,
    help="Of intervals and rank ranges.",
)
def leaderboard(  # noqa: PLR0913 - click gives each option as an argument
    *,
    paths: tuple[Path, ...],
    judgments: tuple[Path, ...],
    exclude: tuple[str, ...],
    out: Path,
    data: tuple[str, ...],
    profile: str,
    measure: str,
    margin: float,
    queries: int | None,
    templates: Path | None,
    method: Method,
    rounds: int,
    seed: int,
    confidence: float,
) -> None:
    """Rank models: Elo from judgments of pairs with intervals, the ranks that these leave possible, and pages.

    Of RESULTS folders it makes the pages; models are compared by their scores, or by the judgments that are given.
    Judgments alone are rated, and no pages are made.

    Files that follow the first one after --judgments are judgments too: --judgments A.csv B.jsonl
    """
    from pytest_embedbench.cli.data import find_datasets
    from pytest_embedbench.core.measures import parse_measure
    from pytest_embedbench.rating.files import read_judgments
    from pytest_embedbench.rating.judges.entries import read_entries
    from pytest_embedbench.reports.leaderboard.make import Choices, make_leaderboard, rate_judgments

    files = [*judgments, *(path for path in paths if not path.is_dir())]
    folders = [path for path in paths if path.is_dir()]
    choices = Choices(
        measure=parse_measure(measure),
        margin=margin,
        queries=queries,
        method=method,
        confidence=confidence,
        rounds=rounds,
        seed=seed,
        exclude=tuple(_names(exclude)),
    )
    given = read_judgments(files) if files else None
    ratings: Ratings | None
    if folders:
        ratings, pages = make_leaderboard(
            read_entries(folders),
            out,
            judgments=given,
            choices=choices,
            data=find_datasets(data) if data else (),
            profile=profile,
            template_folder=templates,
        )
        made = pages[0]
    elif given is not None:
        ratings, made = rate_judgments(given, out, choices), out / RATINGS
    else:
        raise click.UsageError("nothing to rank: give folders of results, or judgments with --judgments FILE")
    if ratings:
        click.echo(_table(ratings))
        for note in ratings.notes:
            click.echo(f"note: {note}")
    else:
        click.echo("note: not rated: no two models have scores on the same queries")
    click.echo(made)


def _names(given: Iterable[str]) -> list[str]:
    return [name.strip() for names in given for name in names.split(",") if name.strip()]


def _table(ratings: Ratings) -> str:
    """The overall ratings as text."""
    from tabulate import tabulate

    from pytest_embedbench.rating.ratings import rank_text

    rows = [
        [
            rank_text(rating),
            rating.model,
            f"{rating.elo:.0f}",
            _interval(rating),
            f"{rating.wins}-{rating.losses}-{rating.ties}",
            f"{rating.win_rate:.1%}",
        ]
        for rating in ratings.overall
    ]
    headers = ["rank", "model", "Elo", f"{100 * ratings.confidence:.6g}% interval", "won-lost-tied", "win rate"]
    alignment = ("right", "left", "right", "left", "right", "right")
    return tabulate(rows, headers, disable_numparse=True, colalign=alignment)


def _interval(rating: Rating) -> str:
    return "none" if rating.lo is None or rating.hi is None else f"{rating.lo:.0f} to {rating.hi:.0f}"
