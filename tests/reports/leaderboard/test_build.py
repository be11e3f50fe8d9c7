"""Facts of a leaderboard: what is absent stays absent, and every number has its source."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec.structs import replace

from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.errors import ConfigurationError, ResultError
from pytest_embedbench.load.statistics import Arrivals
from pytest_embedbench.rating.judgments import Judgment
from pytest_embedbench.rating.rate import rate
from pytest_embedbench.rating.ratings import Ratings
from pytest_embedbench.reports.leaderboard import Leaderboard, build_leaderboard
from pytest_embedbench.reports.leaderboard.facts import ModelEntry, Record

if TYPE_CHECKING:
    from tests.reports.leaderboard.conftest import MakeResult, Stored, Worlds

Judge = Callable[..., Judgment]


def entry(board: Leaderboard, name: str) -> ModelEntry:
    return next(model for model in board.models if model.name == name)


def test_nothing_at_all_is_a_board_without_models() -> None:
    assert build_leaderboard([], None, []) == Leaderboard()


def test_results_alone_have_quality_and_no_elo(make_result: MakeResult) -> None:
    board = build_leaderboard(
        [make_result("slow", "d", {"q1": 0.9, "q2": 0.7}, p50=20.0), make_result("fast", "d", {"q1": 0.5}, p50=5.0)],
        None,
        [],
    )
    assert [model.name for model in board.models] == ["slow", "fast"]
    slow, fast = board.models
    assert (slow.rating, slow.elo, slow.win_rate) == (None, None, None)
    assert slow.ndcg
    assert slow.ndcg.value == pytest.approx(0.8)
    assert (slow.ndcg.rank, slow.ndcg.of) == (1, 2)
    assert fast.latency
    assert (fast.latency.value, fast.latency.rank) == (5.0, 1)
    assert slow.on_front
    assert fast.on_front
    assert board.profile == "b1 c4 on NVIDIA L4"


def test_judgments_alone_have_elo_and_no_quality(judged: Judge) -> None:
    judgments = [judged("x", "y", "a", f"q{n}") for n in range(3)] + [judged("x", "y", "b", "q9")]
    board = build_leaderboard([], rate(judgments, rounds=20), judgments)
    x = board.models[0]
    assert x.name == "x"
    assert x.elo
    assert x.win_rate
    assert (x.elo.rank, x.elo.of, x.win_rate.value) == (1, 2, 0.75)
    assert (x.ndcg, x.latency, x.info.price_per_million_tokens, x.info.provider) == (None, None, None, "")
    assert (board.measured, board.shared, board.profile, board.sources) == (0, (), "", ())
    assert [(dataset.name, dataset.documents, dataset.judgments) for dataset in board.datasets] == [("d", None, 4)]


def test_places_are_among_models_that_have_the_number(make_result: MakeResult, rated: Callable[..., Ratings]) -> None:
    results = [
        make_result("a", "d", {"q": 0.5}, p50=3.0),
        make_result("b", "d", {"q": 0.7}),
        make_result("c", "d", None, tops={"q": "x"}),
    ]
    board = build_leaderboard(results, rated(a=1490.0, z=1600.0), [])
    assert [model.name for model in board.models] == ["z", "a", "b", "c"]
    a = entry(board, "a")
    assert a.elo
    assert a.ndcg
    assert a.latency
    assert (a.elo.rank, a.elo.of) == (2, 2)
    assert (a.ndcg.rank, a.ndcg.of) == (2, 2)
    assert (a.latency.rank, a.latency.of) == (1, 1)
    assert entry(board, "c").ndcg is None  # no qrels: absent, not zero
    assert entry(board, "z").ndcg is None
    assert entry(board, "b").latency is None


def test_mean_is_over_datasets_that_all_measured_models_share(make_result: MakeResult) -> None:
    results = [
        make_result("a", "both", {"q": 0.4}),
        make_result("a", "easy", {"q": 1.0}),
        make_result("b", "both", {"q": 0.5}),
        make_result("b", "unjudged", None, tops={"q": "x"}),
        make_result("c", "unjudged", None, tops={"q": "x"}),
    ]
    board = build_leaderboard(results, None, [])
    assert (board.shared, board.measured) == (("both",), 2)
    values = {model.name: model.ndcg and model.ndcg.value for model in board.models}
    assert values == {"b": 0.5, "a": 0.4, "c": None}
    assert [(dataset.name, dataset.shared) for dataset in board.datasets] == [
        ("both", True),
        ("easy", False),
        ("unjudged", False),
    ]


def test_different_data_of_one_name_enter_no_mean(make_result: MakeResult) -> None:
    results = [
        make_result("a", "d", {"q": 0.4}, data="old", p50=1.0),
        make_result("b", "d", {"q": 0.5}, data="new", p50=2.0),
    ]
    board = build_leaderboard(results, None, [])
    assert board.shared == ()
    assert board.timed == ()
    assert board.models[0].ndcg is None
    assert board.pairs[0].values is None
    assert board.pairs[0].rows == ()
    assert "different states of its data" in board.notes[0]


def test_the_revision_measured_last_counts_and_no_row_mixes_two(make_result: MakeResult) -> None:
    results = [
        make_result("a", "x", {"q": 0.9}, revision="old", measured_on="2026-01-01"),
        make_result("a", "y", {"q": 0.9}, revision="old", measured_on="2026-01-01"),
        make_result("a", "x", {"q": 0.1}, revision="new", measured_on="2026-02-01"),
    ]
    board = build_leaderboard(results, None, [])
    a = board.models[0]
    assert [(row.dataset, row.means["ndcg@10"]) for row in a.datasets] == [("x", 0.1)]
    assert "revision new was measured last" in board.notes[0]
    assert [source.file for source in board.sources] == ["a/new/x.json"]


def test_latencies_of_other_hardware_are_absent_and_noted(make_result: MakeResult) -> None:
    results = [
        make_result("a", "d", {"q": 0.4}, p50=1.0),
        make_result("b", "d", {"q": 0.5}, p50=2.0),
        make_result("c", "d", {"q": 0.6}, p50=0.1, hardware="Other"),
    ]
    board = build_leaderboard(results, None, [])
    c = entry(board, "c")
    assert c.latency is None
    assert c.datasets[0].latency is None
    assert not c.on_front
    assert board.notes == ("c: no latency, since it was not measured with b1 c4 on NVIDIA L4",)


@pytest.mark.parametrize("kept_up", [False, None])
def test_a_model_that_does_not_keep_up_with_a_rate_has_no_latency(
    make_result: MakeResult, kept_up: bool | None
) -> None:
    def at_a_rate(stored: Stored, *, kept_up: bool | None) -> Stored:
        path, result = stored
        (profile,) = result.embedbench.profiles.values()
        came = Arrivals(rate_per_s=50, seconds=9, lag_ms=0.1, growth=0.0, kept_up=kept_up)
        profile = replace(profile, shape="b1 r50", query=replace(profile.query, arrivals=came))
        return path, replace(result, embedbench=replace(result.embedbench, profiles={"b1 r50": profile}))

    results = [
        at_a_rate(make_result("a", "d", {"q": 0.4}, p50=1.0), kept_up=True),
        at_a_rate(make_result("b", "d", {"q": 0.5}, p50=2.0), kept_up=kept_up),
    ]
    board = build_leaderboard(results, None, [], profile="b1 r50")
    latency = entry(board, "a").latency
    assert latency is not None
    assert latency.value == 1
    assert entry(board, "b").latency is None
    assert entry(board, "b").datasets[0].latency is None
    assert board.notes == ("b: no latency, since it has not shown that it keeps up with b1 r50 on NVIDIA L4",)


@pytest.mark.parametrize("wanted", ["b1 c4", "b1-c4", "L4 b1 c4", "b1 c4 on NVIDIA L4"])
def test_a_profile_is_asked_for_by_load_or_with_hardware(make_result: MakeResult, wanted: str) -> None:
    board = build_leaderboard([make_result("a", "d", {"q": 0.4}, p50=1.0)], None, [], profile=wanted)
    assert board.profile == "b1 c4 on NVIDIA L4"


def test_a_profile_that_no_result_has_is_an_error(make_result: MakeResult) -> None:
    result = make_result("a", "d", {"q": 0.4}, p50=1.0)
    with pytest.raises(ConfigurationError, match=r"no result has the load profile 'b9 c9'\n  fix: .*b1 c4"):
        build_leaderboard([result], None, [], profile="b9 c9")


def test_without_any_profile_none_is_missed(make_result: MakeResult) -> None:
    board = build_leaderboard([make_result("a", "d", {"q": 0.4})], None, [], profile="b9 c9")
    assert board.profile == ""
    assert board.models[0].latency is None


def test_model_information_comes_from_the_spec(make_result: MakeResult) -> None:
    result = make_result(
        "a",
        "d",
        {"q": 0.4},
        provider="Maker",
        licence="mit",
        price_per_million_tokens=0.0,
        release_date="2025-06-06",
        languages=("eng-Latn",),
        source="javascript:alert(1)",
    )
    info = build_leaderboard([result], None, []).models[0].info
    assert (info.provider, info.licence, info.release_date, info.languages) == (
        "Maker",
        "mit",
        "2025-06-06",
        ("eng-Latn",),
    )
    assert info.price_per_million_tokens == 0.0
    assert info.full_name == "org/a"
    assert info.source == ""  # no address that a link may have


def test_judgments_may_use_full_names(make_result: MakeResult, judged: Judge) -> None:
    results = [make_result("a", "d", {"q1": 0.4}), make_result("b", "d", {"q1": 0.5})]
    judgments = [judged("org/a", "b", "a"), judged("org/a", "b", "tie", "q2"), judged("b", "org/a", "a", "q3")]
    board = build_leaderboard(results, rate(judgments, rounds=20), judgments)
    assert {model.name for model in board.models} == {"a", "b"}
    assert board.ratings
    assert {rating.model for rating in board.ratings.overall} == {"a", "b"}


def test_head_to_head_is_seen_from_the_better_model_whoever_was_a(judged: Judge) -> None:
    judgments = [
        judged("low", "top", "b", "q1", values=(0.1, 0.9), top_a=("d1",), top_b=("d2",)),
        judged("top", "low", "a", "q2", values=(0.8, 0.2)),
        judged("low", "top", "a", "q3", "e", values=(0.6, 0.5)),
        judged("low", "top", "tie", "q4", "e", values=(0.5, 0.5)),
    ]
    board = build_leaderboard([], rate(judgments, rounds=20), judgments)
    (pair,) = board.pairs
    assert (pair.a, pair.b, pair.record) == ("top", "low", Record(wins=2, losses=1, ties=1))
    first = pair.rows[0]
    assert (first.outcome, first.values) == ("a", (0.9, 0.1))
    assert first.top[0]
    assert first.top[1]
    assert (first.top[0].doc, first.top[1].doc) == ("d2", "d1")
    d, e = pair.datasets
    assert d.record == Record(wins=2)
    assert d.values == pytest.approx((0.85, 0.15))
    assert (e.record, e.values) == (Record(losses=1, ties=1), (0.5, 0.55))
    assert pair.values == pytest.approx(((0.85 + 0.5) / 2, (0.15 + 0.55) / 2))
    low = entry(board, "low")
    assert low.opponents[0].record == Record(wins=1, losses=2, ties=1)


def test_records_of_opponents_add_up_to_the_record_of_the_rating(make_world: Worlds) -> None:
    world = make_world(5, 3, 8)
    board = build_leaderboard(world.results, world.ratings, world.judgments)
    for model in board.models:
        assert model.rating
        for part in ("wins", "losses", "ties"):
            total = getattr(model.rating, part)
            assert sum(getattr(one.record, part) for one in model.opponents) == total
            assert sum(getattr(row.rating, part) for row in model.datasets if row.rating) == total
    assert sum(pair.record.total for pair in board.pairs) == len(world.judgments)


def test_a_query_without_values_of_the_judge_shows_those_of_the_results(make_result: MakeResult, judged: Judge) -> None:
    results = [make_result("a", "d", {"q1": 0.4, "q2": 0.2}), make_result("b", "d", {"q1": 0.5, "q2": 0.3})]
    judgments = [judged("a", "b", "a", judge="llm m"), judged("a", "b", "b", "q2", judge="llm m")]
    board = build_leaderboard(results, None, judgments)
    (pair,) = board.pairs
    assert (pair.a, pair.b) == ("b", "a")
    assert pair.rows[0].values == (0.5, 0.4)
    assert pair.datasets[0].values == pytest.approx((0.4, 0.3))
    assert pair.datasets[0].measure == pair.measure == "ndcg@10"
    assert [hit and hit.doc for hit in pair.rows[0].top] == ["doc-of-b", "doc-of-a"]


def test_queries_that_nobody_judged_are_compared_by_their_results(make_result: MakeResult) -> None:
    results = [
        make_result("a", "d", {"q1": 0.9, "q2": 0.2}),
        make_result("b", "d", {"q1": 0.5, "q2": 0.3}),
        make_result("a", "unjudged", None, tops={"u1": "x", "u2": "y"}),
        make_result("b", "unjudged", None, tops={"u1": "z"}),
    ]
    (pair,) = build_leaderboard(results, None, []).pairs
    assert pair.record == Record()
    assert [(row.query, row.outcome, row.values) for row in pair.rows] == [
        ("q1", None, (0.9, 0.5)),
        ("q2", None, (0.2, 0.3)),
        ("u1", None, None),
    ]
    assert [hit and hit.doc for hit in pair.rows[2].top] == ["x", "z"]
    assert pair.values == pytest.approx((0.55, 0.4))


def test_a_page_lists_the_queries_that_differ_most(make_result: MakeResult) -> None:
    results = [
        make_result("a", "d", {"q1": 0.9, "q2": 0.2, "q3": 0.8}),
        make_result("b", "d", {"q1": 0.8, "q2": 0.9, "q3": 0.3}),
    ]
    (pair,) = build_leaderboard(results, None, [], queries_shown=2).pairs
    assert [row.query for row in pair.rows] == ["q2", "q3"]
    assert (pair.datasets[0].shown, pair.datasets[0].lines, pair.datasets[0].queries) == (2, 3, 3)


def test_texts_are_shown_shortened_where_the_collection_is_at_hand(judged: Judge) -> None:
    dataset = Dataset(
        name="d",
        split="test",
        doc_ids=["d1"],
        doc_texts=["word " * 100],
        query_ids=["q1"],
        query_texts=["what\nis it"],
        qrels={},
    )
    board = build_leaderboard([], None, [judged("a", "b", "a", top_a=("d1",), top_b=("gone",))], texts={"d": dataset})
    row = board.pairs[0].rows[0]
    assert row.text == "what is it"
    assert row.top[0]
    assert row.top[1]
    assert row.top[0].text.endswith("word…")
    assert len(row.top[0].text) <= 241
    assert row.top[1].text == ""


def test_a_model_compared_with_itself_is_no_pair(judged: Judge) -> None:
    board = build_leaderboard([], None, [judged("a", "a", "a"), judged("a", "b", "b")])
    assert [(pair.a, pair.b, pair.record.total) for pair in board.pairs] == [("a", "b", 1)]


def test_judgments_of_another_run_are_noted(make_result: MakeResult, judged: Judge) -> None:
    results = [make_result("a", "d", {"q1": 0.4}), make_result("b", "d", {"q1": 0.5})]
    own = results[0][1].embedbench.evidence.run_sha256
    board = build_leaderboard(results, None, [judged("a", "b", "a", run_a=own, run_b="0" * 64)])
    assert board.notes == ("b on d: 1 judgments are of another run than the result's",)


def test_broken_per_query_scores_are_an_error_that_names_the_file(make_result: MakeResult) -> None:
    results = [make_result("a", "d", {"q1": 0.4}), make_result("b", "d", {"q1": 0.5})]
    path = results[0][0].with_suffix(".per-query.jsonl")
    path.write_text("no JSON\n")
    with pytest.raises(ResultError, match=r"d\.per-query\.jsonl: holds no per-query scores"):
        build_leaderboard(results, None, [])


def test_the_order_of_sources_does_not_matter(make_world: Worlds) -> None:
    world = make_world(4, 3, 5)
    board = build_leaderboard(world.results, world.ratings, world.judgments)
    again = build_leaderboard(world.results[::-1], world.ratings, world.judgments)
    assert msgspec.json.encode(board) == msgspec.json.encode(again)


def test_the_published_judgments_make_a_board(shared: Path) -> None:
    path = shared / "reference" / "judgments.csv"
    with path.open(encoding="utf-8", newline="") as file:
        judgments = [msgspec.convert({**row, "repeat": int(row["repeat"])}, Judgment) for row in csv.DictReader(file)]
    board = build_leaderboard([], rate(judgments, rounds=50), judgments)
    assert len(board.models) == 20
    assert len(board.pairs) == 190
    assert board.models[0].elo
    assert board.models[0].elo.of == 20
    alone = sum(one.model_a == one.model_b for one in judgments)
    assert sum(pair.record.total for pair in board.pairs) == len(judgments) - alone
