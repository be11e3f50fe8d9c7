"""Make a whole leaderboard on disk from stored results: judge, rate, build, write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from pytest_embedbench.core.files import write_atomically
from pytest_embedbench.core.measures import Measure
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.errors import ResultError
from pytest_embedbench.rating.files import write_judgments
from pytest_embedbench.rating.judges.data import find_texts
from pytest_embedbench.rating.judges.entries import Entry, one_of_each
from pytest_embedbench.rating.judges.qrels import judge_by_qrels
from pytest_embedbench.rating.judgments import Judgment
from pytest_embedbench.rating.rate import rate
from pytest_embedbench.rating.ratings import RATINGS_FILE, Method, Ratings
from pytest_embedbench.reports.leaderboard.build import build_leaderboard
from pytest_embedbench.reports.leaderboard.write import write_leaderboard

JUDGMENTS_FILE = "judgments.jsonl"


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """Settings for judging by qrels and for rating; see ``judge_by_qrels`` and ``rate``."""

    measure: Measure = Measure("ndcg", 10)
    margin: float = 0.0
    queries: int | None = None
    method: Method = "bradley-terry"
    confidence: float = 0.95
    rounds: int = 1000
    seed: int = 0
    exclude: tuple[str, ...] = ()


def rate_judgments(judgments: Iterable[Judgment], folder: Path, choices: Choices, notes: Sequence[str] = ()) -> Ratings:
    """Rate the judgments and write ``ratings.json`` into the folder, with these ``notes`` before its own.

    Raises:
        RatingError: the judgments cannot be rated.
        ResultError: the file cannot be written.
    """
    ratings = rate(
        judgments,
        method=choices.method,
        confidence=choices.confidence,
        rounds=choices.rounds,
        seed=choices.seed,
        exclude=choices.exclude,
    )
    ratings = msgspec.structs.replace(ratings, notes=[*notes, *ratings.notes])
    path = folder / RATINGS_FILE
    try:
        write_atomically(path, msgspec.json.format(msgspec.json.encode(ratings), indent=2).decode() + "\n")
    except OSError as error:
        problem = f"cannot be written: {error.strerror}"
        raise ResultError(problem, where=str(path), fix="choose another folder") from None
    return ratings


def make_leaderboard(
    entries: Sequence[Entry],
    folder: Path,
    *,
    judgments: Sequence[Judgment] | None = None,
    choices: Choices = Choices(),
    data: Iterable[NamedDataset] = (),
    profile: str = "",
    template_folder: Path | None = None,
) -> tuple[Ratings | None, list[Path]]:
    """Write ``ratings.json``, the judgments and all pages into the folder; return the ratings and the pages' paths.

    Without judgments, models are judged by the qrels, and ``judgments.jsonl`` is written. If there is nothing to
    compare (one model alone, or no dataset with relevance judgments), the pages have no ratings.

    Args:
        entries: results with their evidence.
        folder: where to write.
        judgments: judgments by others, which need not be of the same models.
        choices: how to judge and to rate.
        data: datasets whose texts the pages show; those that no result was measured on are ignored.
        profile: load to take latencies from; empty for the one that most models have.
        template_folder: templates that replace packaged ones of the same name.

    Raises:
        ConfigurationError: the profile or the template folder does not fit.
        RatingError: the judgments cannot be rated.
        ResultError: results cannot be compared (two revisions of one model, other data), or a file cannot be read or
            written.
        DatasetError: a file of the data is malformed.
        CardError: a user's template does not work.
    """
    entries, notes = one_of_each(entries)
    if judgments is None:
        judgments = judge_by_qrels(
            entries, measure=choices.measure, margin=choices.margin, queries=choices.queries, seed=choices.seed
        )
        write_judgments(folder / JUDGMENTS_FILE, judgments)
    ratings = rate_judgments(judgments, folder, choices, notes) if judgments else None
    texts = find_texts(entries, data)
    # Excluded models have no rating, so they get no pages either.
    shown = [entry for entry in entries if entry.model not in choices.exclude]
    board = build_leaderboard(
        [(entry.where, entry.result) for entry in shown],
        ratings,
        [judgment for judgment in judgments if not {judgment.model_a, judgment.model_b} & set(choices.exclude)],
        notes=notes,
        texts={
            entry.dataset.name: texts[entry.dataset.fingerprint]
            for entry in shown
            if entry.dataset.fingerprint in texts
        },
        profile=profile,
    )
    return ratings, write_leaderboard(board, folder, template_folder=template_folder)
