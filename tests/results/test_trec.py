"""TREC runs: what is written reads back, whatever the ids, and trec_eval sees the same ranking."""

from __future__ import annotations

import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.core.runs import Run
from pytest_embedbench.errors import ResultError
from pytest_embedbench.results.trec import COLUMNS, dump_run, parse_run

# White space, percent and number signs, byte order marks and what splitlines takes for line ends; no lone surrogates,
# which UTF-8 cannot hold. An id may be empty too.
IDS = st.text(
    st.one_of(
        st.sampled_from(" %\t\n\r\x0b\x0c\x1c\x1d\x1e\x85\xa0\u2028\u2029\u3000%20#\ufeff"),
        st.characters(exclude_categories=["Cs"]),
    )
)
SCORES = st.floats(allow_nan=False, allow_infinity=False)
RUNS = st.dictionaries(IDS, st.dictionaries(IDS, SCORES, min_size=1, max_size=6), max_size=5)


@given(RUNS, st.text(st.characters(exclude_categories=["Cs"])))
def test_round_trip(scores: dict[str, dict[str, float]], tag: str) -> None:
    run = Run({query: list(found.items()) for query, found in scores.items()})
    text = dump_run(run, tag)
    assert parse_run(text, "x") == run
    assert parse_run(text.encode().decode(), "x") == run
    lines = text.split("\n")
    assert lines.pop() == ""
    assert all(len(line.split()) == COLUMNS for line in lines)
    assert not text.startswith("\ufeff")
    assert not any(line.startswith("#") for line in lines), "readers take such a line for a comment"


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=8))
def test_trec_eval_ranks_as_we_do(scores: list[float]) -> None:
    run = Run({"q": [(f"d{number}", score) for number, score in enumerate(scores)]})
    lines = [line.split() for line in dump_run(run, "t").splitlines()]
    assert [line[2] for line in lines] == [doc for doc, _ in run["q"]]
    assert [int(line[3]) for line in lines] == list(range(1, len(scores) + 1))
    ranked = {line[2]: float(line[4]) for line in lines}
    for rank, (doc, _) in enumerate(run["q"], 1):
        found = pytrec_eval.RelevanceEvaluator({"q": {doc: 1}}, {"recip_rank"}).evaluate({"q": ranked})
        assert found["q"]["recip_rank"] == pytest.approx(1 / rank)


def test_order_comes_from_scores_and_ids() -> None:
    text = "q Q0 a 1 0.5 t\nq Q0 c 2 0.5 t\nq Q0 b 3 0.9 t\n\n"
    assert parse_run(text, "x")["q"] == [("b", 0.9), ("c", 0.5), ("a", 0.5)]


@pytest.mark.parametrize("line", ["q Q0 d 1 0.5", "q Q0 d 1 0.5 t more", "q Q0 d 1 high t"])
def test_a_bad_line_is_named(line: str) -> None:
    with pytest.raises(ResultError, match=r"facts\.run:2: not a TREC run line"):
        parse_run(f"q Q0 d 1 0.5 t\n{line}\n", "facts.run")


@pytest.mark.parametrize(
    ("key", "written"),
    [("#7", "%237"), ("7#8", "7#8"), ("", "%"), ("%", "%25"), ("a b", "a%20b"), ("\ufeffq", "%EF%BB%BFq")],
)
def test_how_unusual_ids_are_written(key: str, written: str) -> None:
    run = Run({key: [(key, 0.5)]})
    text = dump_run(run, "t")
    assert text == f"{written} Q0 {written} 1 0.5 t\n"
    assert parse_run(text, "x") == run


def test_ids_of_the_usual_kind_are_written_as_they_are() -> None:
    run = Run({"q-1": [("MED-10", 0.25)]})
    assert dump_run(run, "org/my model") == "q-1 Q0 MED-10 1 0.25 org/my_model\n"
