"""Rate models from judgments: overall and for each dataset, with intervals, ranges of ranks and notes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pytest_embedbench.errors import ConfigurationError, RatingError, closest
from pytest_embedbench.rating.bias import position_bias
from pytest_embedbench.rating.bootstrap import quantile_interval, ranks, resample
from pytest_embedbench.rating.judgments import Judgment
from pytest_embedbench.rating.online import ELO_PER_TENFOLD_ODDS, MEAN_ELO, online_elo
from pytest_embedbench.rating.ratings import METHODS, Method, Rating, Ratings
from pytest_embedbench.rating.strengths import maximum_exists, reach, strengths
from pytest_embedbench.rating.tally import Tally

if TYPE_CHECKING:
    from pytest_embedbench.rating.strengths import Floats
    from pytest_embedbench.rating.tally import Games

ELO_PER_LOG_ODDS = ELO_PER_TENFOLD_ODDS / math.log(10)
"""Elo points of one unit of log-odds."""


class _Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of ``rate``; ``notes`` collects remarks for the reader while it works."""

    method: Method
    confidence: float
    rounds: int
    seed: int
    notes: list[str] = []  # msgspec makes a new list for each instance


def rate(
    judgments: Iterable[Judgment],
    *,
    method: Method = "bradley-terry",
    confidence: float = 0.95,
    rounds: int = 1000,
    seed: int = 0,
    exclude: Iterable[str] = (),
) -> Ratings:
    """Rate models from judgments of pairs.

    Elo is 1500 + 400 / ln 10 x (log-odds minus their mean over the rated models). The method ``elo``, one pass in the
    order of the judgments, is for comparison only, and has no intervals. A rank range holds the ranks that the rounds
    of the bootstrap gave the model, at the same confidence, rounded outwards. If the percentiles would exclude the
    estimate itself, interval and range are widened to include it.

    Except with ``elo``, the same judgments in another order, or with ``a`` and ``b`` swapped, give the same ratings.

    Args:
        judgments: each counts once, repeated questions too. Those of a model with itself are left out and noted.
        method: ``bradley-terry`` (a tie is half a win for each), ``davidson`` or ``elo``.
        confidence: of intervals and rank ranges, between 0 and 1.
        rounds: the number of rounds of the bootstrap.
        seed: of the bootstrap; equal seeds give equal results.
        exclude: models whose judgments do not count.

    Raises:
        ConfigurationError: an option is out of its range, or no judgment is of a model to exclude.
        RatingError: no judgment is left, or some models were never compared, not even through others.
    """
    supplied = list(judgments)
    settings = _Settings(method=method, confidence=confidence, rounds=rounds, seed=seed)
    excluded = sorted(set(exclude))
    _check(settings, excluded, supplied)
    of_two = [judgment for judgment in supplied if judgment.model_a != judgment.model_b]
    counted = [judgment for judgment in of_two if not {judgment.model_a, judgment.model_b} & set(excluded)]
    if not counted:
        raise RatingError("no judgment of two models is left to rate from", fix="exclude fewer models")
    _note_judgments(settings, supplied, counted, excluded)
    tally = Tally.from_judgments(counted)
    # Between groups without a comparison any difference in strength fits the judgments equally well.
    if len(groups := _groups(tally)) > 1:
        problem = f"models of different groups were never compared: {_named(groups)}"
        raise RatingError(problem, fix="judge pairs across the groups, or leave all groups but one out with --exclude")
    overall = _rated(counted, tally, "overall", settings)
    by_dataset = _rated_by_dataset(counted, settings)
    if method == "elo":
        settings.notes.append(
            "online Elo depends on the order of the judgments: for comparison only, without intervals"
        )
    return Ratings(
        overall=overall,
        by_dataset=by_dataset,
        method=method,
        confidence=confidence,
        rounds=rounds,
        seed=seed,
        judgments=len(counted),
        queries=len({(judgment.dataset, judgment.query_id) for judgment in counted}),
        excluded=excluded,
        judges=sorted({judgment.judge for judgment in counted} - {""}),
        # The bias is a property of the judge, so judgments of excluded models count here.
        position_bias=position_bias(of_two),
        notes=settings.notes,
    )


def _rated_by_dataset(judgments: Sequence[Judgment], settings: _Settings) -> dict[str, list[Rating]]:
    """Return ratings from each dataset's judgments alone; a dataset whose models were not all compared is noted."""
    parts: dict[str, list[Judgment]] = {}
    for judgment in judgments:
        parts.setdefault(judgment.dataset, []).append(judgment)
    by_dataset = {}
    for dataset, part in sorted(parts.items()):
        tally = Tally.from_judgments(part)
        # An error overall, but only a note here: one dataset may well lack a comparison that others have.
        if len(groups := _groups(tally)) > 1:
            settings.notes.append(f"{dataset}: not rated alone, its groups were never compared: {_named(groups)}")
        else:
            by_dataset[dataset] = _rated(part, tally, dataset, settings)
    return by_dataset


def _check(settings: _Settings, excluded: Sequence[str], supplied: Sequence[Judgment]) -> None:
    if settings.method not in METHODS:
        raise ConfigurationError("--method", f"there is no {settings.method!r}", closest(settings.method, METHODS))
    if not 0 < settings.confidence < 1:
        raise ConfigurationError("--confidence", f"{settings.confidence} is not between 0 and 1", "write 0.95")
    if settings.rounds < 1:
        raise ConfigurationError("--rounds", f"{settings.rounds} is less than 1", "write 1000")
    if settings.seed < 0:
        raise ConfigurationError("--seed", f"{settings.seed} is less than 0", "write 0")
    known = {model for judgment in supplied for model in (judgment.model_a, judgment.model_b)}
    for model in excluded:
        if model not in known:
            raise ConfigurationError("--exclude", f"no judgment is of a model {model!r}", closest(model, known))


def _note_judgments(
    settings: _Settings, supplied: Sequence[Judgment], counted: Sequence[Judgment], excluded: Sequence[str]
) -> None:
    alone = [judgment.model_a for judgment in supplied if judgment.model_a == judgment.model_b]
    if alone:
        names = ", ".join(sorted(set(alone)))
        settings.notes.append(f"{len(alone)} judgments compare a model with itself and are left out: {names}")
    if repeated := sum(judgment.repeat > 0 for judgment in counted):
        settings.notes.append(f"{repeated} judgments repeat an earlier question; each counts")
    known = {model for judgment in supplied for model in (judgment.model_a, judgment.model_b)}
    rated = {model for judgment in counted for model in (judgment.model_a, judgment.model_b)}
    if unrated := sorted(known - rated - set(excluded)):
        settings.notes.append(f"not rated, since no judgment of theirs counts: {', '.join(unrated)}")


def _groups(tally: Tally) -> list[list[str]]:
    """Return the groups of models that were compared, directly or through others; the largest first."""
    wins, ties = tally.games()[0]
    connected = reach(wins + wins.T + ties > 0)  # by a judgment of any outcome
    groups = {tuple(np.flatnonzero(row)) for row in connected}
    named = [[tally.models[index] for index in group] for group in groups]
    return sorted(named, key=lambda names: (-len(names), names))


def _named(groups: Sequence[Sequence[str]]) -> str:
    return " | ".join(", ".join(group) for group in groups)


def _rated(judgments: Sequence[Judgment], tally: Tally, where: str, settings: _Settings) -> list[Rating]:
    """Return ratings, best first, from judgments and their tally; ``where`` begins the notes."""
    (games,) = tally.games()
    if settings.method == "elo":
        online = online_elo(judgments)
        return _ratings(tally, games, np.array([online[model] for model in tally.models]))
    # Without a tie nu has its maximum at 0, where Davidson's model is Bradley and Terry's.
    davidson = settings.method == "davidson" and bool(games[1].any())
    if settings.method == "davidson" and not davidson:
        settings.notes.append(f"{where}: no ties, so that Davidson's model is Bradley and Terry's")
    prior = not maximum_exists(games, davidson=davidson)
    elo = _elo_from(strengths(games[None], davidson=davidson, prior=np.array([prior])))[0]
    if prior:
        settings.notes.append(_prior_note(tally, games, where))
    if tally.queries == 1:
        settings.notes.append(f"{where}: one query shows nothing of how ratings vary, so there are no intervals")
        return _ratings(tally, games, elo)
    resampled = resample(tally, rounds=settings.rounds, seed=settings.seed, davidson=davidson)
    if resampled.with_prior and not prior:
        shares = f"{resampled.with_prior} of {settings.rounds}"
        settings.notes.append(
            f"{where}: {shares} rounds of the bootstrap had no finite ratings and took the weak prior"
        )
    return _ratings(tally, games, elo, _elo_from(resampled.strengths), settings.confidence)


def _elo_from(log_odds: Floats) -> Floats:
    return MEAN_ELO + ELO_PER_LOG_ODDS * log_odds


def _prior_note(tally: Tally, games: Games, where: str) -> str:
    """Return a note on why there is no finite maximum, with the models that cause it.

    These are the models against which the others have no win or tie, or the models that have none against the others;
    the note names the smaller group.
    """
    reached = reach(games[0] + games[1] / 2 > 0)
    mutual = reached & reached.T
    # Models whose component of the win graph nobody outside reaches, or from which nobody outside is reached.
    first, last = (mutual == reached.T).all(1), (mutual == reached).all(1)
    fewer = first if first.sum() <= last.sum() else last
    names = ", ".join(tally.models[index] for index in np.flatnonzero(fewer))
    if fewer.all():  # only with Davidson's model, which needs a circle of wins too
        why = "wins never go round in a circle"
    elif fewer is first:
        why = f"the others have not one win or tie against {names}"
    else:
        why = f"not one win or tie against the others: {names}"
    return f"{where}: {why}; ratings are kept finite by a weak prior (a tie of each with an average model)"


def _ratings(
    tally: Tally, games: Games, elo: Floats, rounds: Floats | None = None, confidence: float = 0.95
) -> list[Rating]:
    """Return one ``Rating`` for each model, best first.

    Args:
        tally: gives the models.
        games: their counts, shape (2, n, n).
        elo: of each model, shape (n).
        rounds: Elo in each round of the bootstrap, shape (rounds, n); without it there are no intervals, and every rank
            is possible.
        confidence: of the intervals.
    """
    own = ranks(elo[None])[0]
    # Without a bootstrap every rank from 1 to n is possible.
    lower: list[float | None] = [None] * len(elo)
    upper = lower
    first, last = np.ones(len(elo)), np.full(len(elo), len(elo))
    if rounds is not None:
        lo, hi = quantile_interval(rounds, confidence)
        # Widened, since the percentiles of few queries may leave the estimate itself out.
        lower, upper = np.minimum(lo, elo).tolist(), np.maximum(hi, elo).tolist()
        # Rounded outwards: the quantiles of ranks may lie between two ranks.
        low, high = quantile_interval(ranks(rounds).astype(float), confidence)
        first, last = np.minimum(np.floor(low), own), np.maximum(np.ceil(high), own)
    wins, losses, ties = games[0].sum(1), games[0].sum(0), games[1].sum(1)
    ratings = [
        Rating(
            model=model,
            elo=float(elo[index]),
            lo=lower[index],
            hi=upper[index],
            rank_lo=int(first[index]),
            rank_hi=int(last[index]),
            wins=int(wins[index]),
            losses=int(losses[index]),
            ties=int(ties[index]),
        )
        for index, model in enumerate(tally.models)
    ]
    return sorted(ratings, key=lambda rating: (-round(rating.elo, 6), rating.model))  # equal Elo: by name
