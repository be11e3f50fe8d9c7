"""Strengths of models by maximum likelihood: Bradley and Terry's model, and Davidson's with ties.

Bradley & Terry (1952, Biometrika 39, 324-345): i wins over j with probability p = 1 / (1 + exp(t_j - t_i)). A tie is
half a win to each. Davidson (1970, JASA 65, 317-328) adds the tie as an outcome of its own: the probabilities of win,
tie and loss are as exp(d/2) : nu : exp(-d/2), where d = t_i - t_j, and nu is estimated with the strengths.

A finite maximum exists, and is the only one up to a shift, when the win graph is strongly connected: from every model
a chain of wins or ties leads to every other (Ford 1957; Hunter 2004, Annals of Statistics 32, 384-406). Davidson's
needs a tie too, and a circle of wins, which keep nu off 0 and infinity.

Where there is none, a weak prior stands in: every model is given one more judgment, against an average model of
strength 0: a third each of a win, a loss and a tie, which is half a win to each for Bradley and Terry. For these it is
the maximum under independent generalized logistic (type III) priors, one of the two families that Whelan (2017,
arXiv:1712.05311) finds to depend neither on who is called what nor on who else plays.

Everything is done for many sets of judgments at once (the rounds of a bootstrap).
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

ENOUGH = 1e-6
"""Log-odds. Newton's steps shrink quadratically: after one this small, about 1e-12 is left."""
ROUNDING = 1e-15
"""Log-likelihood of one judgment."""
MOST_STEPS = 200


def reach(edges: Flags) -> Flags:
    """Which node can be reached from which, over any number of edges; shape (..., n, n), itself included."""
    count = edges.shape[-1]
    reached = (edges | np.eye(count, dtype=bool)).astype(np.float32)
    for _ in range((count - 1).bit_length()):
        reached = np.minimum(reached @ reached, 1)
    return reached > 0


def maximum_exists(games: Games, *, davidson: bool) -> Flags:
    """Whether the likelihood is known to have a finite maximum: games (..., 2, n, n) give shape (...)."""
    wins, ties = games[..., 0, :, :], games[..., 1, :, :]
    strongly_connected = reach(wins + ties > 0).all((-2, -1))
    if not davidson:
        return np.asarray(strongly_connected)
    circle = (reach(wins > 0) & (wins.swapaxes(-1, -2) > 0)).any((-2, -1))
    return np.asarray(strongly_connected & circle & (ties > 0).any((-2, -1)))


def strengths(games: Games, *, davidson: bool, prior: Flags) -> Floats:
    """Log-odds of mean 0, shape (sets, n), of games (sets, 2, n, n); with the weak prior where ``prior`` (sets) says.

    Raises:
        RatingError: no maximum was found; only where there is none and no prior either, as far as is known.
    """
    found = np.empty((len(games), games.shape[-1]))
    if not prior.all():
        found[~prior] = _most_likely(games[~prior], davidson=davidson)
    if prior.any():
        found[prior] = _most_likely(_with_average_model(games[prior]), davidson=davidson)[:, :-1]
    return np.asarray(found - found.mean(1, keepdims=True))


def _with_average_model(games: Games) -> Games:
    wider = np.pad(games, [(0, 0), (0, 0), (0, 1), (0, 1)])
    wider[:, :, :-1, -1] += 1 / 3
    wider[:, :, -1, :-1] += 1 / 3
    return wider


def _most_likely(games: Games, *, davidson: bool) -> Floats:
    """Newton's method; a step that overshoots is halved. The likelihood is concave."""
    sets, count = len(games), games.shape[-1]
    unknowns = np.zeros((sets, count + davidson))  # the last one of Davidson's is log nu
    likelihood, gradient, curvature = _derivatives(games, unknowns, davidson=davidson)
    judgments = games.sum((1, 2, 3))
    previous_slope, converged = np.full(sets, np.inf), np.zeros(sets, dtype=bool)
    for _ in range(MOST_STEPS):
        step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        slope = (gradient * step).sum(1)  # along the step: twice the gain that is expected of it
        # Wild counts end where only rounding is left. That the likelihood cannot be told from its maximum does not show
        # it: in a flat direction (curvature 1e-8) strengths may be far away still, and the next step shrinks greatly.
        only_rounding = (slope / 2 < ROUNDING * judgments) & (slope > previous_slope / 4)
        converged |= (np.abs(step).max(1) < ENOUGH) | only_rounding
        if converged.all():
            return np.asarray(unknowns + step)[:, :count]
        least, previous_slope = likelihood - 1000 * ROUNDING * judgments, slope
        for _ in range(MOST_STEPS):
            with np.errstate(over="ignore", invalid="ignore"):  # of a step too long
                likelihood, gradient, curvature = _derivatives(games, unknowns + step, davidson=davidson)
            worse = ~(likelihood >= least)
            if not worse.any():
                break
            step[worse] /= 2
        unknowns = unknowns + step
    raise RatingError("no maximum of the likelihood was found\n  fix: rate with --method elo, and report this")


def _derivatives(games: Games, unknowns: Floats, *, davidson: bool) -> tuple[Floats, Floats, Floats]:
    """The log-likelihood (sets), its gradient (sets, unknowns) and minus its Hessian.

    For a pair let y be 1, 1/2 or 0 for win, tie or loss of the row, and z be 1 for a tie. Both models are exponential
    families in (y, z): the gradient is what was seen less what is expected, minus the Hessian the covariance.
    """
    wins, ties = games[:, 0], games[:, 1]
    losses = wins.swapaxes(1, 2)
    played = wins + losses + ties
    count = games.shape[-1]
    lead = unknowns[:, :count, None] - unknowns[:, None, :count]
    far = np.abs(lead)
    # All is divided by the likelier side's exp(|d| / 2), so that nothing grows too large.
    less = np.exp(-far)
    level = np.exp(unknowns[:, count:, None] - far / 2) if davidson else np.zeros(1)
    log_total, total = np.log1p(less + level), 1 + less + level
    likelihood = ((wins + ties / 2) * ((lead - far) / 2 - log_total)).sum((1, 2))
    less /= total
    tie = level / total
    ahead = lead > 0
    win, loss = np.where(ahead, 1 / total, less), np.where(ahead, less, 1 / total)
    # Seen less expected, judgment by judgment (1 = win + loss + tie): a million sure wins would leave the rounding of a
    # million in points - played * (win + tie / 2), and in a flat direction that moves a maximum by an Elo point.
    win_less_loss = -np.sign(lead) * np.expm1(-far) / total
    gradient = (wins * (loss + tie / 2) - losses * (win + tie / 2) - ties * win_less_loss / 2).sum(2)
    spread = played * (win * loss + tie * (win + loss) / 4)
    curvature = -spread
    index = np.arange(count)
    curvature[:, index, index] += spread.sum(2)
    # A shift of all strengths changes nothing; this fixes their sum, and leaves the steps as they are.
    curvature += spread.sum((1, 2), keepdims=True) / count**2
    if davidson:
        likelihood += ties.sum((1, 2)) / 2 * unknowns[:, count]
        more_ties = (ties * (win + loss) - (wins + losses) * tie).sum((1, 2)) / 2
        gradient = np.concatenate([gradient, more_ties[:, None]], 1)
        curvature = np.pad(curvature, [(0, 0), (0, 1), (0, 1)])
        curvature[:, count, :count] = curvature[:, :count, count] = -(played * tie * win_less_loss).sum(2) / 2
        curvature[:, count, count] = (played * tie * (win + loss)).sum((1, 2)) / 2
    return likelihood, gradient, curvature
