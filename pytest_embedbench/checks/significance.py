"""Statistics of two measurements of the same queries: randomization test, interval, Holm's correction, power.

The quantity tested is the drop, the mean of ``before - now``; a negative drop is an improvement. Values are compared in
millionths, the precision of baselines, so that equal sums stay equal and ties are counted right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Values = Sequence[float] | Floats

RESAMPLES = 9_999
"""Resamples of the test and of the interval; p is then a multiple of 1/10,000."""

SEED = 0
"""Seed of the resamples, fixed so that the same values give the same p."""

POWER = 0.8
"""Probability with which a drop of the smallest detectable size is found (Cohen 1988)."""

VALUE_STEP = 1e-6
"""Score; values are compared as whole multiples of it."""

MEAN_ROUNDING = 1e-9
"""Score; floating-point error within which a mean's drop counts as equal to ``max_drop``."""

BATCH_NUMBERS = 1_000_000
"""Numbers in one batch of resamples, so that memory does not grow with the queries."""


@dataclass(frozen=True)
class PairedComparison:
    """One comparison. ``p`` is one-sided, in the direction of the observed difference (1 for no difference)."""

    queries: int
    changed: int
    """Queries whose value differs."""
    before: float
    now: float
    low: float
    high: float
    """Percentile bootstrap interval of the drop over queries (Efron & Tibshirani 1993, chapter 13), two-sided; NaN for
    fewer than two queries."""
    deviation: float
    """Standard deviation of the queries' differences; NaN for fewer than two queries."""
    p: float

    @property
    def drop(self) -> float:
        return self.before - self.now

    @property
    def p_drop(self) -> float:
        """One-sided p of a fall; 1 if the mean did not fall."""
        # Sums are multiples of VALUE_STEP, so with up to a million queries a real drop of the mean is not smaller.
        return self.p if self.drop > VALUE_STEP**2 else 1.0

    @property
    def p_gain(self) -> float:
        """One-sided p of a rise; 1 if the mean did not rise."""
        return self.p if -self.drop > VALUE_STEP**2 else 1.0

    @property
    def p_two_sided(self) -> float:
        return min(1.0, 2 * self.p)


def compare(before: Values, now: Values, *, confidence: float, tests: int = 1) -> PairedComparison:
    """Compare values of the same queries, in the same order; there must be at least one.

    The test flips the signs of the differences at random (Fisher's randomization test; Smucker, Allan & Carterette
    2007 on its use for rankings). If all 2^n ways are at most ``RESAMPLES``, it takes all, so that p is exact;
    otherwise a random ``RESAMPLES`` of them, and more if Holm's correction over ``tests`` comparisons needs smaller
    steps of p. Queries without a difference do not change the sum, whatever their sign, and are left out.
    """
    import numpy as np

    first, second = (np.rint(np.asarray(values, dtype=np.float64) / VALUE_STEP) for values in (before, now))
    differences = first - second
    moved = differences[differences != 0]
    # Holm's strictest level is alpha / tests; p needs steps ten times finer to fall clearly below it.
    resamples = max(RESAMPLES, math.ceil(10 * tests / level(confidence)))
    low, high = _interval(differences, confidence, resamples)
    return PairedComparison(
        queries=len(differences),
        changed=len(moved),
        before=float(first.mean()) * VALUE_STEP,
        now=float(second.mean()) * VALUE_STEP,
        low=low * VALUE_STEP,
        high=high * VALUE_STEP,
        deviation=float(differences.std(ddof=1)) * VALUE_STEP if len(differences) > 1 else math.nan,
        p=_one_sided(moved, resamples) if differences.sum() else 1.0,
    )


def _one_sided(differences: Floats, resamples: int) -> float:
    from scipy import stats

    if len(differences) == 1:
        return 0.5  # one of the two signs; scipy needs two observations or more
    # The test is for "greater", so the differences are turned towards the observed direction.
    upwards = differences if differences.sum() > 0 else -differences
    # scipy counts the observed signs among random ones, so that p is never 0 (Phipson & Smyth 2010).
    test = stats.permutation_test(
        (upwards,),
        lambda values, axis: values.sum(axis=axis),
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=resamples,
        batch=_batch(differences),
        rng=SEED,
    )
    return float(test.pvalue)


def _interval(differences: Floats, confidence: float, resamples: int) -> tuple[float, float]:
    import numpy as np
    from scipy import stats

    if len(differences) < 2:  # noqa: PLR2004 - one query shows no variation
        return math.nan, math.nan
    if not differences.any():
        return 0.0, 0.0
    bootstrap = stats.bootstrap(
        (differences,),
        np.mean,
        confidence_level=confidence,
        method="percentile",
        vectorized=True,
        n_resamples=resamples,
        batch=_batch(differences),
        rng=SEED,
    )
    return float(bootstrap.confidence_interval.low), float(bootstrap.confidence_interval.high)


def _batch(differences: Floats) -> int:
    return max(1, BATCH_NUMBERS // len(differences))


def level(confidence: float) -> float:
    """Return the level of a test, 1 - confidence, without floating-point error: 0.05 for 0.95."""
    return round(1 - confidence, 12)


def holm(values: Sequence[float]) -> list[float]:
    """Return adjusted p-values in the order given (Holm 1979): with p_(1) <= ..., max over j <= i of (m - j + 1) p_(j).

    Rejecting those below alpha keeps the chance of any false alarm among the m below alpha, whatever the dependence.
    """
    adjusted = [1.0] * len(values)
    highest = 0.0
    for position, index in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        # The running maximum keeps adjusted values in the order of the raw ones.
        highest = max(highest, min(1.0, (len(values) - position) * values[index]))
        adjusted[index] = highest
    return adjusted


@dataclass(frozen=True)
class Tested:
    """A comparison with its p-values adjusted for all ``tests`` that were made together."""

    paired: PairedComparison
    drop_p: float
    gain_p: float
    tests: int

    @property
    def p(self) -> float:
        """The adjusted p in the direction that was observed."""
        return min(self.drop_p, self.gain_p)

    def is_regression(self, max_drop: float, confidence: float) -> bool:
        """Whether the mean fell by more than ``max_drop`` and the fall is significant."""
        return self.paired.drop > max_drop + MEAN_ROUNDING and self.drop_p < level(confidence)

    def detectable(self, confidence: float) -> float:
        """Return the smallest drop that 80% of runs detect at the strictest level Holm's correction can require."""
        return detectable_drop(self.paired.deviation, self.paired.queries, level(confidence) / self.tests)


def adjust_together(comparisons: Sequence[PairedComparison]) -> list[Tested]:
    """Adjust the p-values of comparisons made together by Holm's method: drops among drops, gains among gains."""
    # Two families, since they answer two questions: has any mean fallen, and has any risen.
    drops = holm([paired.p_drop for paired in comparisons])
    gains = holm([paired.p_gain for paired in comparisons])
    return [Tested(*row, len(comparisons)) for row in zip(comparisons, drops, gains, strict=True)]


def detectable_drop(deviation: float, queries: int, alpha: float) -> float:
    """Return the smallest mean drop that a one-sided test at ``alpha`` detects with 80% power; infinite if none.

    (z_{1-alpha} + z_{0.8}) x deviation / sqrt(n), the normal approximation (Cohen 1988, chapter 2; for rankings, Sakai
    2016). A randomization test's p is never below 2^-n, so that very few queries can show nothing at all.
    """
    if math.isnan(deviation) or queries < _min_queries(alpha):
        return math.inf
    return _quantiles(alpha) * deviation / math.sqrt(queries)


def queries_needed(deviation: float, drop: float, alpha: float) -> int:
    """Return how many queries like these detect a drop of that size (> 0): the inverse of ``detectable_drop``."""
    return max(_min_queries(alpha), math.ceil((_quantiles(alpha) * deviation / drop) ** 2))


def _quantiles(alpha: float) -> float:
    normal = NormalDist()
    return normal.inv_cdf(1 - alpha) + normal.inv_cdf(POWER)


def _min_queries(alpha: float) -> int:
    """Return the smallest number of queries n whose smallest possible p, 2^-n, is below alpha."""
    return math.floor(-math.log2(alpha)) + 1
