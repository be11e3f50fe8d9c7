"""Names of measures: every spelling of the field, and what is said of a wrong one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.core.bounds import MAX_DEPTH
from pytest_embedbench.core.measures import ALIASES, DEFAULT_MEASURES, Measure, parse_measure

measures = st.builds(Measure, st.sampled_from(sorted(set(ALIASES.values()))), st.integers(1, MAX_DEPTH))


@given(measures)
def test_a_measure_prints_as_it_parses(measure: Measure) -> None:
    assert parse_measure(str(measure)) == measure


@given(st.sampled_from(sorted(ALIASES)), st.integers(1, 1000), st.randoms(use_true_random=False))
def test_case_and_blanks_do_not_matter(alias: str, k: int, random: object) -> None:
    spelt = "".join(getattr(random, "choice")((letter.upper(), letter)) for letter in alias)  # noqa: B009
    assert parse_measure(f"  {spelt} @ {k}\t") == Measure(ALIASES[alias], k)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nDCG@10", Measure("ndcg", 10)),
        ("AP@100", Measure("map", 100)),
        ("MAP@100", Measure("map", 100)),
        ("RR@10", Measure("mrr", 10)),
        ("R@1000", Measure("recall", 1000)),
        ("P@5", Measure("precision", 5)),
        ("recall@010", Measure("recall", 10)),
    ],
)
def test_spellings_of_the_field(text: str, expected: Measure) -> None:
    assert parse_measure(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ndgc@10", "unknown metric 'ndgc'; did you mean 'ndcg'?"),
        ("recal@10", "unknown metric 'recal'; did you mean 'recall'?"),
        ("bleu@4", "unknown metric 'bleu'; known are ap, map, mrr, ndcg, p, precision, r, recall, rr"),
        ("ndcg", "metric 'ndcg' has no cut-off; write ndcg@10"),
        ("P@", "metric 'P@' has no cut-off; write precision@10"),
        ("mrr@ten", "metric 'mrr@ten' has no cut-off; write mrr@10"),
        ("recall@-5", "metric 'recall@-5' has no cut-off; write recall@10"),
        ("ndcg@0", "the cut-off of 'ndcg@0' must be a number from 1 to 100,000"),
        ("ndcg@1000000000", "the cut-off of 'ndcg@1000000000' must be a number from 1 to 100,000"),
        ("map@" + "9" * 5000, f"'map@{'9' * 75}…' has 5,004 characters; write at most 1,000"),
        ("ndgc", "'ndgc' is not a metric; did you mean 'ndcg'? Write it as ndcg@10"),
        (
            "bleu",
            "'bleu' is not a metric; known are ap, map, mrr, ndcg, p, precision, r, recall, rr. Write it as ndcg@10",
        ),
    ],
)
def test_a_wrong_name_says_how_to_write_it(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        parse_measure(text)
    assert str(caught.value) == message


def test_mteb_calls_it_by_its_own_name() -> None:
    assert parse_measure("P@5").mteb_name == "precision_at_5"


def test_default_measures_hold_what_published_tables_show() -> None:
    names = [str(measure) for measure in DEFAULT_MEASURES]
    assert len(set(names)) == len(names)
    assert {"ndcg@10", "map@10", "mrr@10", "recall@10", "recall@100", "precision@10"} <= set(names)
