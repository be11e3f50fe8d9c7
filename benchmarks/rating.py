"""Measure ratings with intervals, beside the same bootstrap with each round fitted by choix.

Synthetic data: 50,000 judgments of 20 models on 8 datasets of 33 queries; overall and for each dataset, 1,000 rounds.
choix fits the rounds one after the other on the same counts and gives the same ratings (by I-LSR on the matrix of wins,
its fastest method; a tie is half a win for each). It is timed on 50 rounds of the overall rating and scaled to 1,000.
Our time includes drawing and counting, the time of choix does not. Wall and processor time are shown; the ratio is that
of processor time, which is steadier on a busy machine.

    python benchmarks/rating.py [JUDGMENTS.csv [EXCLUDED_MODEL ...]]

With a file of judgments, that file is rated too, and its intervals are compared with those that treat judgments as
independent (the design effect).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import choix
import msgspec
import numpy as np

from pytest_embedbench.rating.bootstrap import resample
from pytest_embedbench.rating.files import read_judgments
from pytest_embedbench.rating.judgments import Judgment
from pytest_embedbench.rating.rate import rate
from pytest_embedbench.rating.ratings import METHODS, Ratings
from pytest_embedbench.rating.tally import Tally

JUDGMENTS, MODELS, DATASETS, QUERIES, ROUNDS = 50_000, 20, 8, 33, 1000
PEER_ROUNDS = 50
TIE = 0.2
"""Log-odds; smaller leads are ties."""
EQUAL = 1e-6
"""Log-odds; ratings that differ by less are equal."""


class Watch:
    """Seconds since this object was created."""

    def __init__(self) -> None:
        self._clock, self._processor = time.perf_counter(), time.process_time()

    def processor(self) -> float:
        return time.process_time() - self._processor

    def __str__(self) -> str:
        return f"{time.perf_counter() - self._clock:.2f} s ({self.processor():.2f} s of processor)"


def made_up() -> list[Judgment]:
    generator = np.random.default_rng(0)
    strength = generator.normal(0, 0.6, MODELS)
    taste = generator.normal(0, 0.7, (DATASETS, QUERIES, MODELS))
    judgments = []
    for _ in range(JUDGMENTS):
        dataset, query = int(generator.integers(DATASETS)), int(generator.integers(QUERIES))
        a, b = generator.choice(MODELS, 2, replace=False)
        level = strength + taste[dataset, query]
        lead = level[a] - level[b] + generator.logistic()
        judgments.append(
            Judgment(
                dataset=f"d{dataset}",
                query_id=f"q{query}",
                model_a=f"m{a}",
                model_b=f"m{b}",
                outcome="tie" if abs(lead) < TIE else "a" if lead > 0 else "b",
            )
        )
    return judgments


def ours(judgments: list[Judgment]) -> None:
    for method in METHODS:
        watch = Watch()
        ratings = rate(judgments, method=method, rounds=ROUNDS)
        print(f"rate, {method}: {watch}; overall and {len(ratings.by_dataset)} datasets, {ROUNDS} rounds")


def beside_choix(judgments: list[Judgment]) -> None:
    """Measure the rounds of the overall rating alone: all of ours, some with choix."""
    tally = Tally.from_judgments(judgments)
    watch = Watch()
    strengths = resample(tally, rounds=ROUNDS, seed=0, davidson=False).strengths
    own = watch.processor()
    print(f"overall bootstrap, ours: {watch}")
    generator = np.random.default_rng(0)  # draws what ours drew
    draws = [generator.integers(tally.queries, size=tally.queries) for _ in range(PEER_ROUNDS)]
    games = tally.games(np.stack([np.bincount(draw, minlength=tally.queries) for draw in draws]))
    points = games[:, 0] + games[:, 1] / 2
    watch = Watch()
    fits = [choix.ilsr_pairwise_dense(one, alpha=0, max_iter=1000, tol=1e-9) for one in points]
    peer = watch.processor() * ROUNDS / PEER_ROUNDS
    off = max(np.abs(one - one.mean() - own_one).max() for one, own_one in zip(fits, strengths, strict=False))
    assert off < EQUAL, off
    print(
        f"overall bootstrap, choix: {peer:.1f} s of processor, {peer / own:.0f} times ours; {PEER_ROUNDS} rounds scaled"
    )


def mean_width(ratings: Ratings) -> float:
    return sum((rating.hi or 0) - (rating.lo or 0) for rating in ratings.overall) / len(ratings.overall)


def real(path: Path, exclude: list[str]) -> None:
    watch = Watch()
    judgments = read_judgments([path])
    print(f"{path.name}: {len(judgments)} judgments read in {watch}")
    watch = Watch()
    clustered = mean_width(rate(judgments, rounds=ROUNDS, exclude=exclude))
    print(f"rated in {watch}")
    apart = [msgspec.structs.replace(one, query_id=f"{one.query_id} {n}") for n, one in enumerate(judgments)]
    alone = mean_width(rate(apart, rounds=ROUNDS, exclude=exclude))
    effect = (clustered / alone) ** 2
    print(f"mean interval: {clustered:.1f} over queries, {alone:.1f} over judgments; design effect {effect:.1f}")


if __name__ == "__main__":
    board = made_up()
    ours(board)
    beside_choix(board)
    if len(sys.argv) > 1:
        real(Path(sys.argv[1]), sys.argv[2:])
