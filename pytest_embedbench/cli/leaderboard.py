"""``embedbench leaderboard``: rank models by Elo, from stored results or from judgments."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pytest_embedbench.cli.numbers import Decimal, WholeNumber
from pytest_embedbench.core import bounds
from pytest_embedbench.rating.ratings import METHODS, RATINGS_FILE, Method

if TYPE_CHECKING:
    from pytest_embedbench.rating.ratings import Rating, Ratings


@click.command("leaderboard")
@click.argument("paths", metavar="[RESULTS]...", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--judgments",
    multiple=True,
    metavar="FILE...",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Judgments of pairs of models, JSON lines or CSV; one file or more.",
)
@click.option("--exclude", multiple=True, metavar="MODEL", help="Model to leave out; repeat or separate by commas.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("leaderboard"),
    show_default=True,
    help="Folder for ratings.json and the pages.",
)
@click.option("--data", multiple=True, metavar="FOLDER_OR_NAME", help="Dataset whose texts the pages show; repeatable.")
@click.option(
    "--profile",
    default="",
    metavar="'b1 c16'",
    help="Load whose latencies the pages show (default: the one that most results have).",
)
@click.option(
    "--measure",
    default="ndcg@10",
    show_default=True,
    help="Metric by which results are compared if no judgments are given.",
)
@click.option(
    "--margin",
    type=Decimal(0, 1),
    default=0.0,
    show_default=True,
    help="Largest difference of the metric that is a tie.",
)
@click.option(
    "--queries",
    type=WholeNumber(1, bounds.MAX_SHOWN_QUERIES),
    help="Compare results on this many queries of each dataset, sampled (default: all).",
)
@click.option(
    "--templates",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder with your own templates for the pages.",
)
@click.option("--method", type=click.Choice(METHODS), default="bradley-terry", show_default=True, help="Rating method.")
@click.option(
    "--rounds",
    type=WholeNumber(1, bounds.MAX_ROUNDS),
    default=1000,
    show_default=True,
    help="Rounds of the bootstrap over queries.",
)
@click.option(
    "--seed",
    type=WholeNumber(0, bounds.MAX_SEED),
    default=0,
    show_default=True,
    help="Seed of the bootstrap and of --queries.",
)
@click.option(
    "--confidence",
    type=Decimal(bounds.MIN_CONFIDENCE, bounds.MAX_CONFIDENCE),
    default=0.95,
    show_default=True,
    help="Confidence of intervals and rank ranges.",
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
    """Rank models by Elo ratings, and write pages that show why.

    Each rating has an interval, and each model the range of ranks that the intervals leave possible. Models of RESULTS
    folders are compared query by query by their scores, or by --judgments if there are some, and pages are written.
    Judgments without RESULTS are rated, but there are no pages.

    --judgments takes several files: --judgments A.csv B.jsonl
    """
    from pytest_embedbench.cli.data_option import find_datasets
    from pytest_embedbench.core.measures import parse_measure
    from pytest_embedbench.core.parsing import parse_at
    from pytest_embedbench.rating.files import read_judgments
    from pytest_embedbench.rating.judges.entries import read_entries
    from pytest_embedbench.reports.leaderboard.make import Choices, make_leaderboard, rate_judgments

    # click gives an option one value: files after the first arrive among the RESULTS.
    files = [*judgments, *(path for path in paths if not path.is_dir())]
    folders = [path for path in paths if path.is_dir()]
    choices = Choices(
        measure=parse_at("--measure", parse_measure, measure),
        margin=margin,
        queries=queries,
        method=method,
        confidence=confidence,
        rounds=rounds,
        seed=seed,
        exclude=tuple(_split_names(exclude)),
    )
    judgments_read = read_judgments(files) if files else None
    ratings: Ratings | None
    if folders:
        ratings, pages = make_leaderboard(
            read_entries(folders),
            out,
            judgments=judgments_read,
            choices=choices,
            data=find_datasets(data) if data else (),
            profile=profile,
            template_folder=templates,
        )
        output = pages[0]
    elif judgments_read is not None:
        ratings, output = rate_judgments(judgments_read, out, choices), out / RATINGS_FILE
    else:
        raise click.UsageError("nothing to rank: give folders of results, or judgments with --judgments FILE")
    if ratings:
        click.echo(_table(ratings))
        for note in ratings.notes:
            click.echo(f"note: {note}")
    else:
        click.echo("note: not rated: no two models have scores on the same queries")
    click.echo(output)


def _split_names(values: Iterable[str]) -> list[str]:
    return [name.strip() for names in values for name in names.split(",") if name.strip()]


def _table(ratings: Ratings) -> str:
    """Return the overall ratings as a table for the terminal."""
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
