"""Judging by qrels: every query and pair once, margins, samples, and results that may not be compared."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from pytest_embedbench.cli import main
from pytest_embedbench.core.measures import parse_measure
from pytest_embedbench.errors import EmbedbenchError, ResultError
from pytest_embedbench.rating.files import read_judgments, write_judgments
from pytest_embedbench.rating.judges.entries import one_of_each, read_entries, sample_queries
from pytest_embedbench.rating.judges.qrels import judge_by_qrels

if TYPE_CHECKING:
    from tests.rating.judges.conftest import Lab


def three_models(lab: Lab, data: Path) -> None:
    for alias, rank in (("beta", 3), ("gamma", None), ("alpha", 1)):
        lab.evaluate(alias, rank, data)


def test_every_query_and_pair_is_judged_once(lab: Lab) -> None:
    three_models(lab, lab.data(queries=4))
    judgments = judge_by_qrels(read_entries([lab.results]))
    assert [(j.query_id, j.model_a, j.model_b) for j in judgments] == [
        (f"q{n}", a, b) for a, b in combinations(("alpha", "beta", "gamma"), 2) for n in range(4)
    ]
    assert {j.outcome for j in judgments} == {"a"}, "alpha before beta before gamma"


def test_a_judgment_holds_what_it_was_made_from(lab: Lab, tmp_path: Path) -> None:
    data = lab.data()
    entries = {}
    for alias, rank in (("alpha", 1), ("beta", 3)):
        lab.evaluate(alias, rank, data)
    entries = {entry.model: entry for entry in read_entries([lab.results])}
    judgments = judge_by_qrels(entries.values(), margin=0.01)
    judgment = next(one for one in judgments if one.query_id == "q2")
    assert (judgment.dataset, judgment.judge, judgment.first_shown) == ("facts", "qrels ndcg@10 margin 0.01", "")
    assert judgment.values == (1.0, 0.5), "the relevant document at ranks 1 and 3: 1/log2(2) and 1/log2(4)"
    assert judgment.top_a == ("d2",)
    assert judgment.top_b == ("f0",)
    for run, model in ((judgment.run_a, "alpha"), (judgment.run_b, "beta")):
        assert run == entries[model].result.embedbench.evidence.run_sha256 != ""
    write_judgments(tmp_path / "j.jsonl", judgments)
    assert read_judgments([tmp_path / "j.jsonl"]) == judgments


@pytest.mark.parametrize(("margin", "outcome"), [(0.0, "a"), (0.49, "a"), (0.5, "tie"), (1.0, "tie")])
def test_a_difference_up_to_the_margin_is_a_tie(lab: Lab, margin: float, outcome: str) -> None:
    data = lab.data()
    lab.evaluate("alpha", 1, data)
    lab.evaluate("beta", 3, data)  # nDCG 1 and 0.5
    assert {j.outcome for j in judge_by_qrels(read_entries([lab.results]), margin=margin)} == {outcome}


@pytest.mark.parametrize("margin", [-0.1, float("nan")])
def test_a_margin_that_makes_no_sense_is_an_error(margin: float) -> None:
    with pytest.raises(ValueError, match="is not a number of 0 or more"):
        judge_by_qrels([], margin=margin)


def test_the_better_one_wins_on_either_side(lab: Lab) -> None:
    data = lab.data()
    lab.evaluate("alpha", 3, data)
    lab.evaluate("beta", 1, data)
    lab.evaluate("gamma", 1, data)
    outcomes = {(j.model_a, j.model_b): j.outcome for j in judge_by_qrels(read_entries([lab.results]))}
    assert outcomes == {("alpha", "beta"): "b", ("alpha", "gamma"): "b", ("beta", "gamma"): "tie"}


def test_another_measure(lab: Lab) -> None:
    data = lab.data()
    lab.evaluate("alpha", 2, data)
    lab.evaluate("beta", 4, data)
    judgments = judge_by_qrels(read_entries([lab.results]), measure=parse_measure("MRR@10"))
    assert {(j.judge, j.values) for j in judgments} == {("qrels mrr@10 margin 0", (0.5, 0.25))}


def test_a_measure_that_a_result_lacks_is_an_error(lab: Lab) -> None:
    data = lab.data()
    lab.evaluate("alpha", 1, data)
    lab.evaluate("beta", 2, data, measures=[parse_measure("mrr@10")])
    with pytest.raises(ResultError, match=r"beta \(.*facts.json\): holds no ndcg@10; it has mrr@10"):
        judge_by_qrels(read_entries([lab.results]))


def test_a_sample_is_the_same_for_every_pair_and_seed(lab: Lab) -> None:
    three_models(lab, lab.data(queries=30))
    entries = read_entries([lab.results])
    judged = judge_by_qrels(entries, queries=5, seed=3)
    assert len(judged) == 3 * 5
    by_pair = {
        (a, b): [j.query_id for j in judged if (j.model_a, j.model_b) == (a, b)]
        for a, b in combinations(("alpha", "beta", "gamma"), 2)
    }
    assert len({tuple(queries) for queries in by_pair.values()}) == 1
    assert judge_by_qrels(reversed(entries), queries=5, seed=3) == judged, "whatever the order of the results"
    assert judge_by_qrels(entries, queries=5, seed=4) != judged


def test_a_larger_sample_holds_the_smaller_one() -> None:
    queries = [f"q{n}" for n in range(50)]
    small, large = (sample_queries(queries, count, 0, "data") for count in (5, 20))
    assert (len(small), len(large)) == (5, 20)
    assert set(small) < set(large)
    assert [query for query in queries if query in large] == large, "in the file's order"
    assert sample_queries(queries, 5, 0, "other data") != small
    assert sample_queries(queries, None, 0, "data") == sample_queries(queries, 99, 0, "data") == queries


def test_only_models_with_results_on_the_same_data_meet(lab: Lab) -> None:
    one, other = lab.data("one"), lab.data("other", queries=3, text="nothing but")
    lab.evaluate("alpha", 1, one)
    lab.evaluate("beta", 2, one)
    lab.evaluate("beta", 2, other)
    judgments = judge_by_qrels(read_entries([lab.results]))
    assert {(j.dataset, j.model_a, j.model_b) for j in judgments} == {("one", "alpha", "beta")}


def test_data_without_judgments_gives_none(lab: Lab) -> None:
    three_models(lab, lab.data(judged=False))
    entries = read_entries([lab.results])
    assert all(len(entry.run) for entry in entries)
    assert judge_by_qrels(entries) == []


def test_data_that_differ_under_one_name_are_not_compared(lab: Lab) -> None:
    lab.evaluate("alpha", 1, lab.data("a/facts"))
    lab.evaluate("beta", 1, lab.data("b/facts", text="all  about"))
    with pytest.raises(ResultError, match=r"the data called 'facts' differ between alpha .* and beta .*") as caught:
        judge_by_qrels(read_entries([lab.results]))
    assert "evaluate both models on the same files" in str(caught.value)


def test_data_under_two_names_are_the_same_data(lab: Lab) -> None:
    data = lab.data()
    lab.evaluate("alpha", 1, data, name="their-name")
    lab.evaluate("beta", 2, data, name="our-name")
    assert {j.dataset for j in judge_by_qrels(read_entries([lab.results]))} == {"our-name"}


def test_two_models_of_one_name_are_an_error(lab: Lab) -> None:
    one, other = lab.data("one"), lab.data("other", queries=3)
    lab.evaluate("alpha", 1, one)
    path = lab.evaluate("beta", 2, other)
    lab.change(path, model={"alias": "alpha"})
    with pytest.raises(ResultError, match=r"two different models are called 'alpha': .*one.json.* and .*other.json"):
        judge_by_qrels(read_entries([lab.results]))


def test_one_model_twice_on_the_same_data_is_an_error(lab: Lab) -> None:
    data = lab.data()
    lab.evaluate("alpha", 1, data)
    lab.evaluate("alpha", 2, data, results="more")
    entries = read_entries([lab.results, lab.folder / "more"])
    for use in (judge_by_qrels, one_of_each):
        with pytest.raises(ResultError, match="model 'alpha' has two results on the same data"):
            use(entries)


def test_two_revisions_of_the_same_weights_are_one_model(lab: Lab) -> None:
    one, other = lab.data("one"), lab.data("other", queries=3)
    lab.evaluate("alpha", 1, one, revision="main")
    newer = lab.evaluate("alpha", 1, one, revision="4f2a")
    lab.evaluate("alpha", 2, other, revision="main")
    lab.evaluate("beta", 2, one)
    lab.change(newer, measured_on="2026-02-01")
    entries, notes = one_of_each(read_entries([lab.results]))
    kept = {(entry.model, entry.dataset.name, entry.record.revision) for entry in entries}
    assert kept == {("alpha", "one", "4f2a"), ("alpha", "other", "main"), ("beta", "one", "r1")}
    (note,) = notes
    assert note.startswith("alpha on one: two results of the same weights (revision 4f2a and main): ")
    assert note.endswith("main/one.json has the same ranking and is left out")
    assert {(j.dataset, j.model_a, j.model_b) for j in judge_by_qrels(entries)} == {("one", "alpha", "beta")}
    board = CliRunner().invoke(main, ["leaderboard", str(lab.results), "--out", str(lab.folder / "board")])
    assert board.exit_code == 0, board.output
    assert f"note: {note}" in board.output
    assert "revision 4f2a and main" in (lab.folder / "board" / "index.md").read_text("utf-8")


def test_two_revisions_of_different_weights_are_an_error_that_says_what_to_do(lab: Lab) -> None:
    one, other = lab.data("one"), lab.data("other", queries=3)
    lab.evaluate("alpha", 1, one, revision="old")
    path = lab.evaluate("alpha", 2, other, revision="new")
    lab.change(path, model={"fingerprint": "weights trained further"})
    entries = read_entries([lab.results])
    for use in (judge_by_qrels, one_of_each):
        with pytest.raises(
            ResultError, match="results of two revisions of org/alpha with different weights: "
        ) as error:
            use(entries)
        assert {"old", "new"} <= {
            path.parent.name for path in map(Path, re.findall(r"\((\S+json)\)", str(error.value)))
        }
        assert "move the folder of one of them away" in str(error.value)
    lab.change(path, model={"fingerprint": ""})
    with pytest.raises(ResultError, match=r"results of two revisions of org/alpha: old \(.* and new \("):
        one_of_each(read_entries([lab.results]))
    lab.change(path, model={"fingerprint": "weights trained further"})
    board = CliRunner().invoke(main, ["leaderboard", str(lab.results), "--out", str(lab.folder / "board")])
    assert board.exit_code == 1
    assert "Error: results of two revisions of org/alpha with different weights: " in board.output
    assert not (lab.folder / "board").exists()


# Reading


def test_a_folder_given_twice_is_read_once(lab: Lab) -> None:
    three_models(lab, lab.data())
    assert len(read_entries([lab.results, lab.results, lab.results / "org__alpha"])) == 3


def test_a_folder_without_results_is_an_error(lab: Lab) -> None:
    lab.results.mkdir()
    with pytest.raises(ResultError, match="results: holds no results"):
        read_entries([lab.results])


@pytest.mark.parametrize("fault", ["missing", "altered"])
def test_a_run_that_is_not_the_stored_one_is_an_error(lab: Lab, fault: str) -> None:
    path = lab.evaluate("alpha", 1, lab.data())
    run = path.with_suffix(".run.trec")
    if fault == "missing":
        run.unlink()
    else:
        run.write_text(run.read_text("utf-8").replace("d1", "d2", 1), "utf-8")
    with pytest.raises(ResultError, match=rf"facts.run.trec: (is|was) {fault}.*facts.json"):
        read_entries([lab.results])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing"),
        ("", "its .*@10 is not the mean that facts.json states"),
        ('{"query":"q1","ndcg@10":0.25,"mrr@10":1}\n', "its ndcg@10 is not the mean"),
        ("{", "holds no per-query scores"),
        ("[1]\n", "holds no per-query scores"),
        ('{"ndcg@10":1}\n', "holds no per-query scores"),
    ],
)
def test_values_that_are_not_those_of_the_result_are_an_error(lab: Lab, content: str | None, message: str) -> None:
    path = lab.evaluate("alpha", 1, lab.data())
    file = path.with_suffix(".per-query.jsonl")
    if content is None:
        file.unlink()
    else:
        file.write_text(content, "utf-8")
    with pytest.raises(EmbedbenchError, match=message) as caught:
        read_entries([lab.results])
    assert str(file) in str(caught.value)
