"""Estimate strengths of models by maximum likelihood: Bradley and Terry's model, and Davidson's with ties.

Bradley & Terry (1952, Biometrika 39, 324-345): i wins over j with probability p = 1 / (1 + exp(t_j - t_i)). A tie is
half a win for each. Davidson (1970, JASA 65, 317-328) adds the tie as an outcome of its own: the probabilities of win,
tie and loss are as exp(d/2) : nu : exp(-d/2), where d = t_i - t_j, and nu is estimated together with the strengths.

A finite maximum exists, and is unique up to a shift, if the win graph is strongly connected: from every model a chain
of wins or ties leads to every other model (Ford 1957; Hunter 2004, Annals of Statistics 32, 384-406). Davidson's model
also needs a tie, which keeps nu away from 0, and a circle of wins, which keeps it away from infinity.

Without a finite maximum, a weak prior is used: every model gets one more judgment, against an average model of strength
0, which is a third each of a win, a loss and a tie. For Bradley and Terry's model that is half a win for each, and the
result is the maximum under independent generalized logistic (type III) priors, one of the two families that Whelan
(2017, arXiv:1712.05311) finds to depend neither on the models' labels nor on which other models take part.

All functions work on many sets of judgments at once (the rounds of a bootstrap).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_embedbench.errors import RatingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_embedbench.rating.tally import Games

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

MAX_LAST_STEP = 1e-6
"""Log-odds; a shorter step is the last. Newton's steps shrink quadratically: about 1e-12 is left after it."""
LIKELIHOOD_ROUNDING = 1e-15
"""Log-likelihood; the rounding error of one judgment's."""
MAX_STEP = 5.0
"""Log-odds; a longer step is shortened to this. Far out, probabilities are 0 or 1 up to rounding: from so flat a place
no direction leads back."""
MAX_STEPS = 200
"""Steps of Newton's method, and halvings of one step."""


def reach(edges: Flags) -> Flags:
    """Return which node can be reached from which over any number of edges, itself included; shape (..., n, n)."""
    count = edges.shape[-1]
    # In float32, because numpy multiplies matrices of booleans without BLAS, many times slower. Each product doubles
    # the number of edges that a path may have, so log2(n) products suffice.
    reached = (edges | np.eye(count, dtype=bool)).astype(np.float32)
    for _ in range((count - 1).bit_length()):
        reached = np.minimum(reached @ reached, 1)
    return reached > 0


def maximum_exists(games: Games, *, davidson: bool) -> Flags:
    """Whether the likelihood is known to have a finite maximum, shape (...), for games of shape (..., 2, n, n)."""
    wins, ties = games[..., 0, :, :], games[..., 1, :, :]
    strongly_connected = reach(wins + ties > 0).all((-2, -1))
    if not davidson:
        return np.asarray(strongly_connected)
    # A circle of wins: i reaches j over wins, and j has beaten i.
    circle = (reach(wins > 0) & (wins.swapaxes(-1, -2) > 0)).any((-2, -1))
    return np.asarray(strongly_connected & circle & (ties > 0).any((-2, -1)))


def strengths(games: Games, *, davidson: bool, prior: Flags) -> Floats:
    """Return strengths as log-odds of mean 0, shape (sets, n).

    Args:
        games: counts of wins and ties, shape (sets, 2, n, n).
        davidson: whether ties are modelled by Davidson's model.
        prior: for which sets the weak prior is used, shape (sets).

    Raises:
        RatingError: no maximum was found; as far as is known, only if there is none and the prior is not used.
    """
    # Fitted apart, since the average model makes the sets with a prior one row and column larger.
    log_odds = np.empty((len(games), games.shape[-1]))
    if not prior.all():
        log_odds[~prior] = _most_likely(games[~prior], davidson=davidson)
    if prior.any():
        log_odds[prior] = _most_likely(_with_average_model(games[prior]), davidson=davidson)[:, :-1]
    return np.asarray(log_odds - log_odds.mean(1, keepdims=True))


def _with_average_model(games: Games) -> Games:
    """Return the counts with one more model at the end, the average one, and every model's judgment against it."""
    wider = np.pad(games, [(0, 0), (0, 0), (0, 1), (0, 1)])
    wider[:, :, :-1, -1] += 1 / 3
    wider[:, :, -1, :-1] += 1 / 3
    return wider


def _most_likely(games: Games, *, davidson: bool) -> Floats:
    """Maximize the likelihood, which is concave, by Newton's method; a step that overshoots is halved."""
    sets, count = len(games), games.shape[-1]
    unknowns = np.zeros((sets, count + davidson))  # strengths and, for Davidson's model, log nu
    likelihood, gradient, curvature = _derivatives(games, unknowns, davidson=davidson)
    judgments = games.sum((1, 2, 3))
    previous_slope, converged = np.full(sets, np.inf), np.zeros(sets, dtype=bool)
    for _ in range(MAX_STEPS):
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        slope = (gradient * step).sum(1)  # along the step; half of it is the expected gain
        # Very uneven counts end when only rounding is left: the expected gain is lost in it and steps stop shrinking.
        # The gain alone does not show it: in a flat direction (curvature 1e-8) strengths may still be far from the
        # maximum, and the next step shrinks greatly.
        only_rounding = (slope / 2 < LIKELIHOOD_ROUNDING * judgments) & (slope > previous_slope / 4)
        converged |= (np.abs(step).max(1) < MAX_LAST_STEP) | only_rounding
        if converged.all():
            return np.asarray(unknowns + step)[:, :count]
        # Near the maximum rounding alone may lower the likelihood a little; only a larger loss is an overshoot.
        least, previous_slope = likelihood - 1000 * LIKELIHOOD_ROUNDING * judgments, slope
        step /= np.maximum(1, np.abs(step).max(1, keepdims=True) / MAX_STEP)
        for _ in range(MAX_STEPS):
            with np.errstate(over="ignore", invalid="ignore"):  # a step that is too long may overflow
                likelihood, gradient, curvature = _derivatives(games, unknowns + step, davidson=davidson)
            worse = ~(likelihood >= least)
            if not worse.any():
                break
            step[worse] /= 2
        unknowns = unknowns + step
    raise RatingError("no maximum of the likelihood was found", fix="rate with --method elo, and report this")


def _derivatives(games: Games, unknowns: Floats, *, davidson: bool) -> tuple[Floats, Floats, Floats]:
    """Return the log-likelihood (sets), its gradient (sets, unknowns) and its negated Hessian.

    For a pair let y be 1, 1/2 or 0 for a win, tie or loss of the row, and z be 1 for a tie. Both models are exponential
    families in (y, z): the gradient is observed minus expected values, the negated Hessian is their covariance.
    """
    wins, ties = games[:, 0], games[:, 1]
    losses = wins.swapaxes(1, 2)
    played = wins + losses + ties
    count = games.shape[-1]
    lead = unknowns[:, :count, None] - unknowns[:, None, :count]
    far = np.abs(lead)
    # Divided by exp(|d| / 2) of the likelier side, so that nothing overflows.
    less = np.exp(-far)
    level = np.exp(unknowns[:, count:, None] - far / 2) if davidson else np.zeros(1)
    log_total, total = np.log1p(less + level), 1 + less + level
    likelihood = ((wins + ties / 2) * ((lead - far) / 2 - log_total)).sum((1, 2))
    less /= total
    tie = level / total
    ahead = lead > 0
    win, loss = np.where(ahead, 1 / total, less), np.where(ahead, less, 1 / total)
    # Observed minus expected, summed judgment by judgment (1 = win + loss + tie). In points - played * (win + tie / 2)
    # a million certain wins would leave the rounding error of a million, which in a flat direction moves the maximum by
    # an Elo point.
    win_less_loss = -np.sign(lead) * np.expm1(-far) / total
    gradient = (wins * (loss + tie / 2) - losses * (win + tie / 2) - ties * win_less_loss / 2).sum(2)
    spread = played * (win * loss + tie * (win + loss) / 4)
    curvature = -spread
    index = np.arange(count)
    curvature[:, index, index] += spread.sum(2)
    # A shift of all strengths changes no probability, so the Hessian is singular; this fixes their sum, and changes no
    # step.
    curvature += spread.sum((1, 2), keepdims=True) / count**2
    if davidson:
        likelihood += ties.sum((1, 2)) / 2 * unknowns[:, count]
        more_ties = (ties * (win + loss) - (wins + losses) * tie).sum((1, 2)) / 2
        gradient = np.concatenate([gradient, more_ties[:, None]], 1)
        curvature = np.pad(curvature, [(0, 0), (0, 1), (0, 1)])
        curvature[:, count, :count] = curvature[:, :count, count] = -(played * tie * win_less_loss).sum(2) / 2
        curvature[:, count, count] = (played * tie * (win + loss)).sum((1, 2)) / 2
    return likelihood, gradient, curvature
