"""Ratings from judgments: overall and for each dataset, with intervals, ranks as ranges and notes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from pytest_embedbench.errors import ConfigurationError, RatingError, closest
from pytest_embedbench.rating.bias import position_bias
from pytest_embedbench.rating.bootstrap import interval, ranks, resample
from pytest_embedbench.rating.judgments import Judgment
from pytest_embedbench.rating.online import SCALE, START, online_elo
from pytest_embedbench.rating.ratings import METHODS, Method, Rating, Ratings
from pytest_embedbench.rating.strengths import maximum_exists, reach, strengths
from pytest_embedbench.rating.tally import Tally

if TYPE_CHECKING:
    from pytest_embedbench.rating.strengths import Floats
    from pytest_embedbench.rating.tally import Games

PER_LOG_ODDS = SCALE / math.log(10)
"""Elo points of one unit of log-odds."""


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How to rate, and the notes that arise on the way."""

    method: Method
    confidence: float
    rounds: int
    seed: int
    notes: list[str] = []


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

    Elo is 1500 + 400 / ln 10 x (log-odds less their mean over the rated models). ``elo``, one pass in the order of
    the judgments, is for comparison alone, and has no intervals. A rank range holds the ranks that the bootstrap's
    rounds gave the model, at the same confidence, rounded outwards. Where the percentiles would leave the estimate
    itself out, interval and range are widened to it.

    The same judgments in another order, or with ``a`` and ``b`` swapped, give the same ratings (``elo`` apart).

    Args:
        judgments: each counts once, repeated questions too. Those of a model with itself are left out and noted.
        method: ``bradley-terry`` (a tie is half a win to each), ``davidson`` or ``elo``.
        confidence: of intervals and rank ranges, between 0 and 1.
        rounds: of the bootstrap.
        seed: of the bootstrap; with the same seed the result is the same.
        exclude: models whose judgments do not count.

    Raises:
        ConfigurationError: an option cannot be, or a model to exclude is not there.
        RatingError: no judgment is left, or models were never compared, not even through others.
    """
    given = list(judgments)
    plan = _Plan(method=method, confidence=confidence, rounds=rounds, seed=seed)
    excluded = sorted(set(exclude))
    _check(plan, excluded, given)
    apart = [judgment for judgment in given if judgment.model_a != judgment.model_b]
    counted = [judgment for judgment in apart if not {judgment.model_a, judgment.model_b} & set(excluded)]
    if not counted:
        raise RatingError("no judgment of two models is left to rate from\n  fix: exclude fewer models")
    _note_judgments(plan, given, counted, excluded)
    tally = Tally.of(counted)
    if len(groups := _groups(tally)) > 1:
        fix = "judge pairs across the groups, or leave all groups but one out with --exclude"
        raise RatingError(f"models of different groups were never compared: {_named(groups)}\n  fix: {fix}")
    overall = _rated(counted, tally, "overall", plan)
    parts: dict[str, list[Judgment]] = {}
    for judgment in counted:
        parts.setdefault(judgment.dataset, []).append(judgment)
    by_dataset = {}
    for dataset, part in sorted(parts.items()):
        tally = Tally.of(part)
        if len(groups := _groups(tally)) > 1:
            plan.notes.append(f"{dataset}: not rated alone, its groups were never compared: {_named(groups)}")
        else:
            by_dataset[dataset] = _rated(part, tally, dataset, plan)
    if method == "elo":
        plan.notes.append("online Elo depends on the order of the judgments: for comparison only, without intervals")
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
        # A fact about the judge: judgments of excluded models show it as well as any.
        position_bias=position_bias(apart),
        notes=plan.notes,
    )


def _check(plan: _Plan, excluded: Sequence[str], given: Sequence[Judgment]) -> None:
    if plan.method not in METHODS:
        raise ConfigurationError("--method", f"there is no {plan.method!r}", closest(plan.method, METHODS))
    if not 0 < plan.confidence < 1:
        raise ConfigurationError("--confidence", f"{plan.confidence} is not between 0 and 1", "write 0.95")
    if plan.rounds < 1:
        raise ConfigurationError("--rounds", f"{plan.rounds} is less than 1", "write 1000")
    if plan.seed < 0:
        raise ConfigurationError("--seed", f"{plan.seed} is less than 0", "write 0")
    known = {model for judgment in given for model in (judgment.model_a, judgment.model_b)}
    for model in excluded:
        if model not in known:
            raise ConfigurationError("--exclude", f"no judgment is of a model {model!r}", closest(model, known))


def _note_judgments(
    plan: _Plan, given: Sequence[Judgment], counted: Sequence[Judgment], excluded: Sequence[str]
) -> None:
    alone = [judgment.model_a for judgment in given if judgment.model_a == judgment.model_b]
    if alone:
        names = ", ".join(sorted(set(alone)))
        plan.notes.append(f"{len(alone)} judgments compare a model with itself and are left out: {names}")
    if repeated := sum(judgment.repeat > 0 for judgment in counted):
        plan.notes.append(f"{repeated} judgments repeat an earlier question; each counts")
    known = {model for judgment in given for model in (judgment.model_a, judgment.model_b)}
    rated = {model for judgment in counted for model in (judgment.model_a, judgment.model_b)}
    if lost := sorted(known - rated - set(excluded)):
        plan.notes.append(f"not rated, since no judgment of theirs counts: {', '.join(lost)}")


def _groups(tally: Tally) -> list[list[str]]:
    """Models that were compared, if only through others; the largest group first."""
    wins, ties = tally.games()[0]
    connected = reach(wins + wins.T + ties > 0)
    groups = {tuple(np.flatnonzero(row)) for row in connected}
    named = [[tally.models[index] for index in group] for group in groups]
    return sorted(named, key=lambda names: (-len(names), names))


def _named(groups: Sequence[Sequence[str]]) -> str:
    return " | ".join(", ".join(group) for group in groups)


def _rated(judgments: Sequence[Judgment], tally: Tally, where: str, plan: _Plan) -> list[Rating]:
    """Ratings from judgments, whose tally this is; best first."""
    (games,) = tally.games()
    if plan.method == "elo":
        found = online_elo(judgments)
        return _places(tally, games, np.array([found[model] for model in tally.models]))
    davidson = plan.method == "davidson" and bool(games[1].any())
    if plan.method == "davidson" and not davidson:
        plan.notes.append(f"{where}: no ties, so that Davidson's model is Bradley and Terry's")
    prior = not maximum_exists(games, davidson=davidson)
    elo = _on_the_scale(strengths(games[None], davidson=davidson, prior=np.array([prior])))[0]
    if prior:
        plan.notes.append(_prior_note(tally, games, where))
    if tally.queries == 1:
        plan.notes.append(f"{where}: one query shows nothing of how ratings vary, so there are no intervals")
        return _places(tally, games, elo)
    drawn = resample(tally, rounds=plan.rounds, seed=plan.seed, davidson=davidson)
    if drawn.with_prior and not prior:
        shares = f"{drawn.with_prior} of {plan.rounds}"
        plan.notes.append(f"{where}: {shares} rounds of the bootstrap had no finite ratings and took the weak prior")
    return _places(tally, games, elo, _on_the_scale(drawn.strengths), plan.confidence)


def _on_the_scale(log_odds: Floats) -> Floats:
    return START + PER_LOG_ODDS * log_odds


def _prior_note(tally: Tally, games: Games, where: str) -> str:
    """Says which models the others have nothing against, or which have nothing against the others: the fewer ones."""
    reached = reach(games[0] + games[1] / 2 > 0)
    mutual = reached & reached.T
    first, last = (mutual == reached.T).all(1), (mutual == reached).all(1)
    few = first if first.sum() <= last.sum() else last
    names = ", ".join(tally.models[index] for index in np.flatnonzero(few))
    if few.all():  # so with Davidson's model alone
        why = "wins never go round in a circle"
    elif few is first:
        why = f"the others have not one win or tie against {names}"
    else:
        why = f"not one win or tie against the others: {names}"
    return f"{where}: {why}; ratings are kept finite by a weak prior (a tie of each with an average model)"


def _places(
    tally: Tally, games: Games, elo: Floats, rounds: Floats | None = None, confidence: float = 0.95
) -> list[Rating]:
    """One ``Rating`` for each model; without ``rounds`` (Elo, shape (rounds, n)) no interval, and any rank."""
    own = ranks(elo[None])[0]
    lower: list[float | None] = [None] * len(elo)
    upper = lower
    first, last = np.ones(len(elo)), np.full(len(elo), len(elo))
    if rounds is not None:
        lo, hi = interval(rounds, confidence)
        lower, upper = np.minimum(lo, elo).tolist(), np.maximum(hi, elo).tolist()
        low, high = interval(ranks(rounds).astype(float), confidence)
        first, last = np.minimum(np.floor(low), own), np.maximum(np.ceil(high), own)
    wins, losses, ties = games[0].sum(1), games[0].sum(0), games[1].sum(1)
    found = [
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
    return sorted(found, key=lambda rating: (-round(rating.elo, 6), rating.model))  # equal ones by name
