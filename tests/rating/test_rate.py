"""Ratings: intervals over queries, ranks as ranges, and what is said where something cannot be rated."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_embedbench.errors import ConfigurationError, RatingError
from pytest_embedbench.rating.bootstrap import ranks, resample
from pytest_embedbench.rating.judgments import Judgment, Preference
from pytest_embedbench.rating.online import online_elo
from pytest_embedbench.rating.rate import _ratings, rate
from pytest_embedbench.rating.ratings import METHODS, Method, Rating, Ratings, rank_text
from pytest_embedbench.rating.tally import Tally

SOME: tuple[Preference, ...] = ("a", "a", "b")
ANY: tuple[Preference, ...] = ("a", "b", "tie")
SWAPPED: dict[str, Preference] = {"a": "b", "b": "a", "tie": "tie"}


def judged(a: str, b: str, outcome: Preference = "a", query: object = "q", dataset: str = "d") -> Judgment:
    return Judgment(dataset=dataset, query_id=str(query), model_a=a, model_b=b, outcome=outcome)


def board(seed: int = 0, *, models: int = 5, queries: int = 12, datasets: int = 2) -> list[Judgment]:
    """Return every pair once on every query; model ``m0`` is the weakest."""
    draw = random.Random(seed)
    return [
        judged(f"m{i}", f"m{j}", draw.choices(ANY, [2 + i, 2 + j, 1])[0], query, f"d{dataset}")
        for dataset in range(datasets)
        for query in range(queries)
        for i in range(models)
        for j in range(i)
    ]


def by_model(ratings: Iterable[Rating]) -> dict[str, Rating]:
    return {rating.model: rating for rating in ratings}


def width(ratings: Ratings) -> float:
    return sum(rating.hi - rating.lo for rating in ratings.overall if rating.lo is not None and rating.hi is not None)


def test_who_wins_more_is_rated_higher_around_1500_and_the_record_is_kept() -> None:
    judgments = [judged("x", "y", outcome) for outcome in ("a", "a", "b", "tie")] + [judged("y", "x", "b", query=2)]
    ratings = rate(judgments)
    x, y = ratings.overall
    assert (x.model, x.wins, x.losses, x.ties) == ("x", 3, 1, 1)
    assert (y.model, y.wins, y.losses, y.ties) == ("y", 1, 3, 1)
    # 3.5 points to 1.5: 400 log10(3.5 / 1.5) apart.
    assert (x.elo - y.elo, x.elo + y.elo) == pytest.approx((147.190711, 3000))
    assert x.win_rate == 0.6
    assert (ratings.judgments, ratings.queries) == (5, 2)
    assert ratings.by_dataset == {"d": ratings.overall}


def test_in_elo_davidson_and_bradley_terry_differ_by_their_ties() -> None:
    judgments = [judged("x", "y", outcome) for outcome in ("a", "a", "a", "b", "tie", "tie", "tie", "tie")]
    judgments += [judged("y", "z"), judged("z", "y"), judged("z", "x"), judged("x", "z")]
    plain, davidson = rate(judgments), rate(judgments, method="davidson")
    assert davidson.method == "davidson"
    assert (davidson.overall[0].model, plain.overall[0].model) == ("x", "x")
    assert davidson.overall[0].elo > plain.overall[0].elo + 10


@pytest.mark.parametrize("method", ["bradley-terry", "davidson"])
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), shuffle=st.integers(0, 1000))
def test_neither_the_order_of_judgments_nor_who_was_a_matters(method: Method, seed: int, shuffle: int) -> None:
    judgments = board(seed, queries=4)
    draw = random.Random(shuffle)
    turned = [
        judged(j.model_b, j.model_a, SWAPPED[j.outcome], j.query_id, j.dataset) if draw.random() < 0.5 else j
        for j in judgments
    ]
    draw.shuffle(turned)
    assert rate(turned, method=method, rounds=20) == rate(judgments, method=method, rounds=20)


def test_every_judgment_twice_changes_nothing_but_the_record() -> None:
    judgments = board()
    once, twice = rate(judgments), rate(judgments * 2)
    assert [rating.elo for rating in twice.overall] == pytest.approx([rating.elo for rating in once.overall])
    # Not the intervals either: there are no more queries than before.
    assert [rating.lo for rating in twice.overall] == pytest.approx([rating.lo for rating in once.overall])
    assert [rating.wins for rating in twice.overall] == [2 * rating.wins for rating in once.overall]


def test_the_same_seed_gives_the_same_intervals_and_another_one_others() -> None:
    judgments = board()
    assert rate(judgments, rounds=100) == rate(judgments, rounds=100)
    first, other = rate(judgments, rounds=100), rate(judgments, rounds=100, seed=1)
    assert [rating.elo for rating in first.overall] == [rating.elo for rating in other.overall]
    assert first.overall[0].lo != other.overall[0].lo


def test_intervals_are_over_queries_and_not_over_judgments() -> None:
    """Ten queries that decide all of their judgments alike say as little as ten judgments."""
    outcomes: list[Preference] = ["a", "a", "a", "a", "a", "a", "b", "b", "b", "b"]
    few = [judged("x", "y", outcome, query) for query, outcome in enumerate(outcomes)]
    repeated = few * 50
    apart = [msgspec.structs.replace(j, query_id=str(number)) for number, j in enumerate(repeated)]
    assert width(rate(repeated)) == pytest.approx(width(rate(few)))
    assert width(rate(apart)) < width(rate(few)) / 4


def test_intervals_are_as_wide_as_the_standard_error_says() -> None:
    """60 of 100 won: by the delta method the log-odds' standard error is 1 / sqrt(100 x 0.6 x 0.4)."""
    judgments = [judged("x", "y", "a" if query < 60 else "b", query) for query in range(100)]
    ratings = rate(judgments, confidence=0.6827, rounds=4000)
    # Each of the two models has half the difference, and an interval of two standard errors.
    assert width(ratings) == pytest.approx(2 * (400 / math.log(10)) / math.sqrt(24), rel=0.08)


def test_the_interval_of_a_dataset_is_over_its_own_queries() -> None:
    judgments = board(datasets=1, queries=8) + [
        msgspec.structs.replace(judgment, dataset="d9", query_id=f"{judgment.query_id}-{copy}")
        for judgment in board(datasets=1, queries=8)
        for copy in range(9)
    ]
    ratings = rate(judgments)
    small, large = by_model(ratings.by_dataset["d0"]), by_model(ratings.by_dataset["d9"])
    for model, one in small.items():
        other = large[model]
        assert one.elo == pytest.approx(other.elo)
        assert one.lo is not None
        assert other.lo is not None
        assert (one.elo - one.lo) > 1.7 * (other.elo - other.lo)


def test_queries_of_the_same_name_in_two_datasets_are_two_queries() -> None:
    assert rate(board(datasets=3, queries=4)).queries == 12


@given(st.integers(0, 200))
@settings(deadline=None, max_examples=25)
def test_ranges_hold_the_rank_and_intervals_the_rating(seed: int) -> None:
    for ratings in rate(board(seed, queries=3), rounds=40, confidence=0.5).by_dataset.values():
        elos = [rating.elo for rating in ratings]
        rounded = [round(elo, 6) for elo in elos]  # equal models may differ by rounding; they are sorted by name
        assert rounded == sorted(rounded, reverse=True)
        for rating in ratings:
            rank = 1 + sum(other > rating.elo + 1e-6 for other in elos)
            assert 1 <= rating.rank_lo <= rank <= rating.rank_hi <= len(ratings)
            assert rating.lo is not None
            assert rating.hi is not None
            assert rating.lo <= rating.elo <= rating.hi


def test_more_confidence_is_wider() -> None:
    half, most = rate(board(), confidence=0.5), rate(board(), confidence=0.99)
    assert width(half) < width(most) / 2
    for one, other in zip(half.overall, most.overall, strict=True):
        assert other.rank_lo <= one.rank_lo <= one.rank_hi <= other.rank_hi


def test_ranges_are_the_quantiles_of_the_rounds_ranks_rounded_outwards() -> None:
    tally = Tally.from_judgments(board())
    drawn = ranks(resample(tally, rounds=30, seed=8, davidson=False).strengths)
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    assert (low % 1).any()
    assert (high % 1).any()  # so with this seed
    found = by_model(rate(board(), rounds=30, seed=8, confidence=0.9).overall)
    for index, model in enumerate(tally.models):
        assert (found[model].rank_lo, found[model].rank_hi) == (math.floor(low[index]), math.ceil(high[index]))


def test_a_difference_of_rounding_is_none() -> None:
    values = np.array([[1500, 1500 + 1e-11, 1400, 1600], [1500, 1500.1, 1400, 1600]])
    assert ranks(values).tolist() == [[2, 2, 4, 1], [3, 2, 4, 1]]
    judgments = [judged("x", "y"), judged("y", "x")]
    tally = Tally.from_judgments(judgments)
    places = _ratings(tally, tally.games()[0], np.array([1500, 1500 + 1e-11]))
    assert [place.model for place in places] == ["x", "y"]


def test_equal_models_share_their_rank() -> None:
    judgments = [
        judged(model, other, outcome, query)
        for query in range(7)
        for model in ("c", "b", "a")
        for other in ("z", "y", "x")
        for outcome in SOME
    ]
    ratings = rate(judgments).overall
    assert [(rating.model, rank_text(rating)) for rating in ratings] == [
        *((model, "1") for model in "abc"),
        *((model, "4") for model in "xyz"),
    ]


def test_rank_texts() -> None:
    rating = rate(board(queries=3)).overall[0]
    assert rank_text(msgspec.structs.replace(rating, rank_lo=3, rank_hi=6)) == "3-6"
    assert rank_text(msgspec.structs.replace(rating, rank_lo=4, rank_hi=4)) == "4"


def test_who_won_everything_has_a_finite_rating_and_a_note() -> None:
    judgments = [
        *board(),
        *(judged("star", f"m{i}", query=query, dataset="d0") for i in range(5) for query in range(5)),
    ]
    ratings = rate(judgments)
    star = ratings.overall[0]
    assert star.model == "star"
    assert 1800 < star.elo < 3000
    assert star.hi is not None
    assert star.hi < 3500
    notes = [note for note in ratings.notes if "weak prior" in note and "bootstrap" not in note]
    assert [note.split(";")[0] for note in notes] == [
        "overall: the others have not one win or tie against star",
        "d0: the others have not one win or tie against star",
    ]
    assert not any(rating.model == "star" for rating in ratings.by_dataset["d1"])


def test_who_lost_everything_is_named_too() -> None:
    judgments = [*board(), *(judged("last", f"m{i}", "b", query) for i in range(5) for query in range(5))]
    assert any(
        note.startswith("overall: not one win or tie against the others: last;") for note in rate(judgments).notes
    )


def test_rounds_without_a_finite_rating_count_and_are_noted() -> None:
    """One query of six holds x's only loss, so a third of the rounds lacks it: (5/6)^6 = 0.335."""
    judgments = [judged("x", "y", "b" if query == 0 else "a", query) for query in range(6)]
    (note,) = [note for note in rate(judgments).notes if note.startswith("overall")]
    count = int(note.split()[1])
    assert note == f"overall: {count} of 1000 rounds of the bootstrap had no finite ratings and took the weak prior"
    assert 290 < count < 380


def test_models_that_were_never_compared_are_an_error_that_names_the_groups() -> None:
    judgments = [judged("a", "b"), judged("b", "c", "tie"), judged("x", "y"), judged("y", "x")]
    for method in METHODS:
        with pytest.raises(RatingError) as caught:
            rate(judgments, method=method)
        assert "never compared: a, b, c | x, y\n  fix: " in str(caught.value)
        assert "--exclude" in str(caught.value)
    assert len(rate(judgments, exclude=["x", "y"]).overall) == 3


def test_a_dataset_in_groups_is_left_out_and_noted() -> None:
    parts = [("m0", "m1"), ("m1", "m0"), ("m2", "m3"), ("m3", "m2")]
    judgments = [*board(models=4), *(judged(*pair, dataset="part") for pair in parts)]
    ratings = rate(judgments)
    assert sorted(ratings.by_dataset) == ["d0", "d1"]
    assert "part: not rated alone, its groups were never compared: m0, m1 | m2, m3" in ratings.notes
    assert ratings.queries == 25


def test_a_model_is_absent_where_it_was_never_compared() -> None:
    ratings = rate([*board(), *(judged("new", "m1", outcome, dataset="d1") for outcome in ("a", "b"))])
    assert "new" in by_model(ratings.overall)
    assert "new" in by_model(ratings.by_dataset["d1"])
    assert "new" not in by_model(ratings.by_dataset["d0"])


def test_one_query_gives_no_interval_and_leaves_every_rank_possible() -> None:
    ratings = rate(
        [*board(), *(judged("m0", f"m{i}", outcome, dataset="one") for i in (1, 2) for outcome in ("a", "b"))]
    )
    alone = ratings.by_dataset["one"]
    assert [(rating.lo, rating.hi, rank_text(rating)) for rating in alone] == [(None, None, "1-3")] * 3
    assert "one: one query shows nothing of how ratings vary, so there are no intervals" in ratings.notes
    assert ratings.overall[0].lo is not None


def test_a_model_against_itself_is_left_out_and_counted() -> None:
    judgments = board()
    ratings = rate([*judgments, judged("m1", "m1"), judged("m1", "m1", "tie"), judged("own", "own")])
    assert ratings.overall == rate(judgments).overall
    assert ratings.judgments == len(judgments)
    assert "3 judgments compare a model with itself and are left out: m1, own" in ratings.notes
    assert "not rated, since no judgment of theirs counts: own" in ratings.notes


def test_repeats_count_and_are_noted() -> None:
    judgments = [*board(), msgspec.structs.replace(judged("m0", "m1", dataset="d0"), repeat=1)]
    ratings = rate(judgments)
    assert ratings.judgments == len(judgments)
    assert "1 judgments repeat an earlier question; each counts" in ratings.notes


def test_excluding_leaves_out_all_judgments_of_a_model() -> None:
    ratings = rate(board(), exclude=["m3", "m0", "m3"])
    assert ratings.excluded == ["m0", "m3"]
    assert ratings == msgspec.structs.replace(
        rate([j for j in board() if not {j.model_a, j.model_b} & {"m0", "m3"}]), excluded=["m0", "m3"]
    )


def test_excluding_may_leave_a_model_without_judgments() -> None:
    ratings = rate([*board(), judged("lonely", "m0")], exclude=["m0"])
    assert "not rated, since no judgment of theirs counts: lonely" in ratings.notes


def test_excluding_an_unknown_model_suggests_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"--exclude: .*'Star'\n  fix: did you mean 'star'\?"):
        rate([judged("star", "m")], exclude=["Star"])


def test_nothing_left_to_rate_is_an_error() -> None:
    for judgments, excluded in (([judged("x", "y")], ["x"]), ([judged("x", "x")], []), ([], [])):
        with pytest.raises(RatingError, match="no judgment of two models"):
            rate(judgments, exclude=excluded)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 95}, "--confidence: 95 is not between 0 and 1"),
        ({"confidence": 0.0}, "--confidence: 0.0"),
        ({"rounds": 0}, "--rounds: 0 is less than 1"),
        ({"seed": -1}, "--seed: -1 is less than 0"),
        ({"method": "bradley"}, "--method: there is no 'bradley'\n  fix: did you mean 'bradley-terry'"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        rate(board(), **options)  # type: ignore[arg-type]  # wrong on purpose
    assert str(caught.value).startswith(message)


def test_judges_are_named() -> None:
    judgments = [msgspec.structs.replace(j, judge=("", "qrels", "llm x")[n % 3]) for n, j in enumerate(board())]
    assert rate(judgments).judges == ["llm x", "qrels"]


def test_davidson_without_ties_is_bradley_terry() -> None:
    judgments = [j for j in board() if j.outcome != "tie"]
    plain, davidson = rate(judgments), rate(judgments, method="davidson")
    assert davidson.overall == plain.overall
    assert "overall: no ties, so that Davidson's model is Bradley and Terry's" in davidson.notes


def test_online_elo_by_hand() -> None:
    found = online_elo([judged("x", "y"), judged("x", "y"), judged("y", "z", "tie"), judged("z", "x", "b")])
    # Expected scores: 1/2, then 0.545922 for x, then 0.456084 for y, whose Elo is 1469.4695.
    assert found["x"] == pytest.approx(1530.530 + 32 * (1 - 1 / (1 + 10 ** ((1498.594 - 1530.530) / 400))), abs=0.01)
    assert found["y"] == pytest.approx(1469.470 + 32 * (0.5 - 0.456083), abs=0.01)
    assert sum(found.values()) == pytest.approx(4500)


def test_online_elo_is_rated_in_order_without_intervals_and_says_so() -> None:
    judgments = board()
    ratings, backwards = rate(judgments, method="elo"), rate(judgments[::-1], method="elo")
    assert {rating.model: rating.elo for rating in ratings.overall} == online_elo(judgments)
    assert by_model(ratings.overall)["m0"].elo != pytest.approx(by_model(backwards.overall)["m0"].elo, abs=1)
    assert all((rating.lo, rating.hi, rank_text(rating)) == (None, None, "1-5") for rating in ratings.overall)
    assert any(note.startswith("online Elo depends on the order") for note in ratings.notes)


def simulated(draw: random.Random, queries: int, pairs: int) -> Iterator[Judgment]:
    """Yield judgments of three models, each of which has a bias of its own on every query."""
    for query in range(queries):
        level = {model: mean + draw.gauss(0, 1) for model, mean in (("x", 0.5), ("y", 0.0), ("z", -0.5))}
        for _ in range(pairs):
            a, b = draw.sample(sorted(level), 2)
            yield judged(a, b, "a" if draw.random() < 1 / (1 + 10 ** (level[b] - level[a])) else "b", query)


def test_intervals_cover_the_truth_nearly_as_often_as_they_claim() -> None:
    """Over queries 93% of the time with 40 of them (400 boards say so); over judgments far less."""
    draw = random.Random(1)
    truth = {rating.model: rating.elo for rating in rate(simulated(draw, 20_000, 3), rounds=1).overall}
    held = {"queries": 0, "judgments": 0}
    for _ in range(60):
        judgments = list(simulated(draw, 40, 12))
        apart = [msgspec.structs.replace(j, query_id=str(number)) for number, j in enumerate(judgments)]
        for drawn, sample in (("queries", judgments), ("judgments", apart)):
            for rating in rate(sample, rounds=200).overall:
                assert rating.lo is not None
                assert rating.hi is not None
                held[drawn] += rating.lo <= truth[rating.model] <= rating.hi
    assert held["queries"] / 180 > 0.88
    assert held["judgments"] / 180 < 0.8
