"""Strengths are the maximum of the likelihood, by programs and formulas that share nothing with ours."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

import choix
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import root

from pytest_embedbench.rating.strengths import maximum_exists, reach, strengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_embedbench.rating.strengths import Floats
    from pytest_embedbench.rating.tally import Games

ELO = 400 / math.log(10)


@st.composite
def counts(draw: st.DrawFn, most: int = 30) -> Games:
    """Return wins and ties of 2 to 7 models; every pair may be empty, so that anything can be apart."""
    size = draw(st.integers(2, 7))
    numbers = st.integers(0, most) | st.just(0)
    wins = draw(arrays(np.float64, (size, size), elements=numbers)) * (1 - np.eye(size))
    ties = np.triu(draw(arrays(np.float64, (size, size), elements=numbers)), 1)
    return np.stack([wins, ties + ties.T])


def fit(games: Games, *, davidson: bool = False, prior: bool = False) -> Floats:
    """Return Elo differences from the mean."""
    return np.asarray(ELO * strengths(games[None], davidson=davidson, prior=np.array([prior]))[0])


def log_likelihood(unknowns: NDArray[np.complex128], games: Games) -> complex:
    """Davidson's, written pair by pair; without log nu as the last unknown Bradley and Terry's, a tie half a win."""
    wins, ties = games
    size = len(wins)
    nu = np.exp(unknowns[size]) if len(unknowns) > size else None
    total = 0j
    for i, j in combinations(range(size), 2):
        a, b = np.exp(unknowns[i]), np.exp(unknowns[j])
        if nu is not None:
            draw = nu * np.sqrt(a * b)
            total += ties[i, j] * np.log(draw / (a + b + draw))
            total += wins[i, j] * np.log(a / (a + b + draw)) + wins[j, i] * np.log(b / (a + b + draw))
        else:
            total += (wins[i, j] + ties[i, j] / 2) * np.log(a / (a + b))
            total += (wins[j, i] + ties[i, j] / 2) * np.log(b / (a + b))
    return total


def by_formula(games: Games, *, davidson: bool) -> Floats:
    """Return the maximum of ``log_likelihood``, Elo from the mean, by scipy's root finder and complex-step slopes."""
    size = games.shape[-1]
    units = np.eye(size + davidson)[1:]  # the first model's strength stays 0

    def slopes(free: Floats) -> list[float]:
        return [log_likelihood(free @ units + 1e-30j * unit, games).imag / 1e-30 for unit in units]

    found = np.insert(root(slopes, np.zeros(len(units)), tol=1e-13).x[: size - 1], 0, 0)
    return np.asarray(ELO * (found - found.mean()))


@settings(deadline=None, max_examples=150)
@given(counts())
def test_bradley_terry_is_that_of_choix(games: Games) -> None:
    exists = bool(maximum_exists(games, davidson=False))
    points = games[0] + games[1] / 2
    if not exists:
        return
    found = fit(games)
    other = choix.ilsr_pairwise_dense(points, alpha=0, max_iter=10_000, tol=1e-13)
    assert found == pytest.approx(ELO * (other - other.mean()), abs=1e-6)
    assert found.mean() == pytest.approx(0, abs=1e-9)


@settings(deadline=None, max_examples=150)
@given(counts())
def test_at_the_maximum_each_model_has_the_points_that_were_expected(games: Games) -> None:
    """This characterizes Bradley and Terry's maximum, and with the number of ties Davidson's."""
    for davidson in (False, True):
        if not maximum_exists(games, davidson=davidson):
            continue
        elo = fit(games, davidson=davidson)
        played = games[0] + games[0].T + games[1]
        difference = (elo[:, None] - elo[None, :]) / ELO
        points = (games[0] + games[1] / 2).sum(1)
        if davidson:
            low, high = 1e-9, 1e9
            for _ in range(200):  # bisection: more nu, more ties
                nu = math.sqrt(low * high)
                tie = played * nu / (2 * np.cosh(difference / 2) + nu)
                low, high = (nu, high) if tie.sum() < games[1].sum() else (low, nu)
            expected = (played * (np.exp(difference / 2) + nu / 2) / (2 * np.cosh(difference / 2) + nu)).sum(1)
        else:
            expected = (played / (1 + np.exp(-difference))).sum(1)
        assert expected == pytest.approx(points, abs=1e-6)


@pytest.mark.parametrize("davidson", [False, True])
def test_the_likelihood_as_it_is_written_in_the_papers_has_its_maximum_there(davidson: bool) -> None:
    generator = np.random.default_rng(3)
    for size in (2, 3, 6):
        wins = generator.integers(1, 20, (size, size)) * (1 - np.eye(size))
        ties = np.triu(generator.integers(0, 9, (size, size)), 1) + 0.0
        ties[0, 1] = 2
        games = np.stack([wins, ties + ties.T])
        found = fit(games, davidson=davidson)
        assert found == pytest.approx(by_formula(games, davidson=davidson), abs=1e-6)


def test_two_models_have_the_odds_of_their_record() -> None:
    games = np.array([[[0, 30], [10, 0]], [[0, 20], [20, 0]]], dtype=np.float64)
    assert fit(games) == pytest.approx([ELO * math.log(40 / 20) / 2, -ELO * math.log(2) / 2])
    # Davidson's strengths are the odds of the decided ones.
    assert fit(games, davidson=True) == pytest.approx([ELO * math.log(3) / 2, -ELO * math.log(3) / 2])


@settings(deadline=None)
@given(counts(), st.integers(2, 50), st.booleans(), st.randoms(use_true_random=False))
def test_more_of_the_same_and_other_names_change_nothing(
    games: Games, times: int, davidson: bool, random: np.random.Generator
) -> None:
    if not maximum_exists(games, davidson=davidson):
        return
    found = fit(games, davidson=davidson)
    assert fit(times * games, davidson=davidson) == pytest.approx(found, abs=1e-6)
    order = list(range(games.shape[-1]))
    random.shuffle(order)
    assert fit(games[:, order][:, :, order], davidson=davidson) == pytest.approx(found[order], abs=1e-6)
    swapped = np.stack([games[0].T, games[1]])  # who won has lost
    assert fit(swapped, davidson=davidson) == pytest.approx(-found, abs=1e-6)


@settings(deadline=None, max_examples=200)
@given(counts(most=10**6), st.booleans())
def test_with_the_weak_prior_everything_is_finite(games: Games, davidson: bool) -> None:
    found = fit(games, davidson=davidson, prior=True)
    assert np.isfinite(found).all()
    # Odds of neighbours in a chain are at most about (3 * 10**6)**2, which is 5,200 Elo, and a chain has at most 7 links.
    assert np.abs(found).max() < 7 * 5_200


@pytest.mark.parametrize(
    ("wins", "ties", "expected"),
    [
        # Newton's first steps are long enough to reach a place that rounding makes flat.
        ({(2, 0): 16, (2, 1): 37}, {(0, 1): 201_995, (0, 2): 119_278}, None),
        # By Newton's method with 60 digits; even this far apart the maximum is found.
        (
            {(1, 4): 27, (3, 1): 380_146, (4, 2): 13_336},
            {(0, 1): 18_069, (0, 3): 416_395},
            [10_929.377, 3_060.877, -22_886.931, 17_713.424, -8_816.747],
        ),
    ],
)
def test_the_weak_prior_with_very_uneven_counts(
    wins: dict[tuple[int, int], int], ties: dict[tuple[int, int], int], expected: list[float] | None
) -> None:
    size = 1 + max(max(pair) for pair in [*wins, *ties])
    games = np.zeros((2, size, size))
    for (row, column), count in wins.items():
        games[0, row, column] = count
    for (row, column), count in ties.items():
        games[1, row, column] = games[1, column, row] = count
    found = fit(games, davidson=True, prior=True)
    assert np.isfinite(found).all()
    if expected:
        assert found == pytest.approx(expected, abs=1e-3)


@settings(deadline=None, max_examples=200)
@given(counts(most=3))
def test_where_no_maximum_is_claimed_the_likelihood_grows_without_end(games: Games) -> None:
    """Ford's condition by brute force: a group that the others have nothing against can be moved up for ever."""
    points = games[0] + games[1] / 2
    size = len(points)
    groups = [
        list(group) for count in range(1, size) for group in combinations(range(size), count)
    ]  # fmt: skip
    unbeaten = any(not points[np.ix_([i for i in range(size) if i not in group], group)].any() for group in groups)
    assert bool(maximum_exists(games, davidson=False)) is not unbeaten


def test_davidson_needs_ties_and_a_circle_of_wins() -> None:
    circle = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=np.float64)
    line = np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]], dtype=np.float64)
    tie = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=np.float64)
    none = np.zeros((3, 3))
    cases = np.stack([np.stack(case) for case in ((circle, tie), (circle, none), (line, tie), (none, tie))])
    assert maximum_exists(cases, davidson=True).tolist() == [True, False, False, False]
    assert maximum_exists(cases, davidson=False).tolist() == [True, True, True, False]


def test_the_prior_is_a_tie_with_an_average_model() -> None:
    """One win without a loss: log-odds t against -t; d/dt of log s(2t) + log s(t) + log s(-t) vanishes."""
    games = np.array([[[0, 1], [0, 0]], [[0, 0], [0, 0]]], dtype=np.float64)
    t = fit(games, prior=True)[0] / ELO
    win, tie = 1 / (1 + math.exp(-2 * t)), 1 / (1 + math.exp(-t))
    assert (1 - win) + 0.5 - tie == pytest.approx(0, abs=1e-9)
    assert t > 0


def test_the_prior_hardly_moves_what_has_a_maximum() -> None:
    games = np.array([[[0, 300], [100, 0]], [[0, 0], [0, 0]]], dtype=np.float64)
    assert abs(fit(games, prior=True)[0] - fit(games)[0]) < 1


def test_sets_are_fitted_as_if_alone() -> None:
    generator = np.random.default_rng(0)
    wins = generator.integers(0, 8, (30, 5, 5)) * (1 - np.eye(5))
    ties = np.triu(generator.integers(0, 5, (30, 5, 5)), 1) + 0.0
    games = np.stack([wins, ties + ties.swapaxes(1, 2)], axis=1)
    prior = generator.random(30) < 0.5
    for davidson in (False, True):
        together = strengths(games, davidson=davidson, prior=prior)
        alone = [
            strengths(g[None], davidson=davidson, prior=np.array([p]))[0] for g, p in zip(games, prior, strict=True)
        ]
        assert together == pytest.approx(np.stack(alone), abs=1e-9)


def test_very_unequal_models_still_converge() -> None:
    """A ladder of 60 models, each of which beats the next a thousand times for one loss."""
    size = 60
    wins = np.diag(np.full(size - 1, 1000.0), 1) + np.diag(np.ones(size - 1), -1)
    found = fit(np.stack([wins, np.zeros((size, size))]))
    assert -np.diff(found) == pytest.approx(np.full(size - 1, ELO * math.log(1000)), abs=1e-5)


WILD = (
    # Wins and ties as (i, j): count. Newton's full steps run away on each of these.
    (3, {(0, 2): 12_133, (1, 2): 1, (2, 0): 1}, {(0, 1): 1205, (1, 2): 20}),
    (4, {(0, 3): 1, (2, 0): 58, (3, 0): 7863}, {(0, 1): 803, (0, 2): 3, (1, 3): 12}),
    # Their likelihood is a small difference of large numbers.
    (4, {(0, 2): 214, (2, 3): 134, (3, 0): 108_375}, {(0, 2): 266_178, (2, 3): 249_700}),
    (4, {(2, 0): 862_673, (2, 1): 5}, {(0, 1): 19, (1, 2): 127}),
)


def wild_games(size: int, won: dict[tuple[int, int], int], tied: dict[tuple[int, int], int]) -> Games:
    wins, ties = np.zeros((size, size)), np.zeros((size, size))
    for place, count in won.items():
        wins[place] = count
    for (i, j), count in tied.items():
        ties[i, j] = ties[j, i] = count
    return np.stack([wins, ties])


@pytest.mark.parametrize(("size", "won", "tied"), WILD)
def test_wild_counts_converge(size: int, won: dict[tuple[int, int], int], tied: dict[tuple[int, int], int]) -> None:
    games = wild_games(size, won, tied)
    exists = bool(maximum_exists(games, davidson=True))
    found = fit(games, davidson=True, prior=not exists)
    assert np.isfinite(found).all()
    # The way there is another one, the maximum the same.
    nearby = fit(games + 1e-9 * (1 - np.eye(size)) * (games > 0), davidson=True, prior=not exists)
    assert nearby == pytest.approx(found, abs=1e-5)


def with_fifty_digits(games: Games, near: Floats) -> Floats:
    """Return Davidson's maximum, Elo from the mean: where each model's points and the ties are those expected."""
    mpmath = pytest.importorskip("mpmath", reason="comes with torch")
    wins, ties = games
    size = len(wins)

    def surplus(*unknowns: object) -> list[object]:
        strengths, nu = [mpmath.mpf(0), *unknowns[:-1]], mpmath.exp(unknowns[-1])
        points, drawn = [mpmath.mpf(0)] * size, mpmath.mpf(0)
        for i, j in combinations(range(size), 2):
            half = (strengths[i] - strengths[j]) / 2
            total = mpmath.exp(half) + mpmath.exp(-half) + nu
            played = mpmath.mpf(wins[i, j]) + mpmath.mpf(wins[j, i]) + mpmath.mpf(ties[i, j])
            more = mpmath.mpf(wins[i, j]) + mpmath.mpf(ties[i, j]) / 2 - played * (mpmath.exp(half) + nu / 2) / total
            points[i], points[j] = points[i] + more, points[j] - more
            drawn += mpmath.mpf(ties[i, j]) - played * nu / total
        return [*points[1:], drawn]

    with mpmath.workdps(50):
        # Any start would do, since there is one maximum only; log nu is the one unknown that is not given.
        logs = [mpmath.mpf(value) for value in (near - near[0]) / ELO]
        nu = mpmath.findroot(lambda log_nu: surplus(*logs[1:], log_nu)[-1], (0, 30), solver="anderson", tol=1e-20)
        root = mpmath.findroot(surplus, [*logs[1:], nu], tol=1e-30)
        found = np.array([0.0, *map(float, list(root)[:-1])])
    return np.asarray(ELO * (found - found.mean()))


@pytest.mark.parametrize(("size", "won", "tied"), WILD)
def test_wild_counts_have_the_maximum_of_long_arithmetic(
    size: int, won: dict[tuple[int, int], int], tied: dict[tuple[int, int], int]
) -> None:
    """The likelihood may be flat (curvature 1e-8): rounding in the sums of a million judgments must not show."""
    games = wild_games(size, won, tied)
    exists = bool(maximum_exists(games, davidson=True))
    found = fit(games, davidson=True, prior=not exists)
    if exists:
        assert found == pytest.approx(with_fifty_digits(games, found), abs=1e-5)
        return
    # The weak prior: a third each of a win, a loss and a tie with one model more.
    wider = np.pad(games, [(0, 0), (0, 1), (0, 1)])
    wider[:, :-1, -1] += 1 / 3
    wider[:, -1, :-1] += 1 / 3
    exact = with_fifty_digits(wider, np.append(found, 0.0))[:-1]
    assert found == pytest.approx(exact - exact.mean(), abs=1e-5)


def test_reach_follows_edges_of_any_length_one_way() -> None:
    size = 9
    line = np.diag(np.ones(size - 1), 1) > 0
    assert (reach(line) == (np.arange(size)[:, None] <= np.arange(size)[None, :])).all()
