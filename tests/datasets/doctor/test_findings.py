"""What every run says of a dataset: one test a finding, and none where nothing is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_embedbench import catalog
from pytest_embedbench.datasets.load import load_dataset, with_findings
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.datasets.types import Dataset, Finding

if TYPE_CHECKING:
    from tests.datasets.doctor.conftest import MakeDataset

DOCS = {"d1": "one", "d2": "two", "d3": "three"}
QUERIES = {"q1": "which is first", "q2": "which is next"}


def only(dataset: Dataset) -> Finding:
    """Return the one finding that the dataset has; it says what to do."""
    (finding,) = with_findings(dataset).findings
    assert finding.fix
    return finding


def seen(finding: Finding) -> tuple[str, int, str, str]:
    return finding.code, finding.count, finding.first, finding.level


def test_a_sound_dataset_has_no_finding(make_dataset: MakeDataset) -> None:
    assert with_findings(make_dataset()).findings == ()


def test_the_builtin_dataset_has_no_finding() -> None:
    assert load_dataset(NamedDataset(alias="builtin", spec=catalog.datasets()["builtin"])).findings == ()


def test_what_the_reader_found_comes_first(make_dataset: MakeDataset) -> None:
    read = Finding(code="qrels-without-header", message="no header", count=1)
    dataset = make_dataset(docs={**DOCS, "d4": ""}, qrels={"q1": {"d1": 1}, "q2": {"d1": 1}}, findings=(read,))
    assert [finding.code for finding in with_findings(dataset).findings] == ["qrels-without-header", "empty-documents"]


def test_findings_change_nothing_else(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(docs={"d1": "", "d2": "", "d3": "x"})
    assert with_findings(dataset).fingerprint == dataset.fingerprint
    assert dataset.findings == ()


# Texts


def test_empty_documents(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(docs={**DOCS, "d4": ""})
    assert seen(only(dataset)) == ("empty-documents", 1, "d4", "warning")


def test_documents_with_the_same_text(make_dataset: MakeDataset) -> None:
    docs = {**DOCS, "d4": "two", "d5": "two", "d6": "one"}
    assert seen(only(make_dataset(docs=docs))) == ("repeated-texts", 3, "d1", "warning")


def test_empty_queries(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(queries={"q1": "which is first", "q2": ""})
    assert seen(only(dataset)) == ("empty-queries", 1, "q2", "error")


def test_queries_with_the_same_text(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(queries={"q1": "which", "q2": "which"})
    assert seen(only(dataset)) == ("repeated-query-texts", 1, "q1", "warning")


def test_queries_that_are_not_scored_may_be_empty_and_repeat(make_dataset: MakeDataset) -> None:
    queries = {**QUERIES, "t1": "", "t2": "which is first", "t3": "A volcano erupts"}
    assert with_findings(make_dataset(queries=queries, judged_elsewhere=frozenset({"t1", "t2", "t3"}))).findings == ()


# Leaks


def test_a_query_that_is_its_relevant_document(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(queries={"q1": "which is first", "q2": "two"}, docs=DOCS)
    finding = only(dataset)
    assert seen(finding) == ("leaked-queries", 1, "query q2, document d2 (relevant)", "error")
    assert finding.message.endswith("that document is judged relevant for 1 of them and not for 0")


def test_a_query_that_is_another_document(make_dataset: MakeDataset) -> None:
    finding = only(make_dataset(queries={"q1": "three", "q2": "two"}, docs=DOCS))
    assert seen(finding) == ("leaked-queries", 2, "query q1, document d3 (not relevant)", "error")
    assert finding.message.endswith("that document is judged relevant for 1 of them and not for 1")


@pytest.mark.parametrize("text", ["TWO  words", " two\twords ", "two\u00a0words", "\uff34wo words", "two\n\nwords"])
def test_case_space_and_compatible_characters_do_not_hide_a_leak(make_dataset: MakeDataset, text: str) -> None:
    dataset = make_dataset(docs={**DOCS, "d2": text}, queries={"q1": "which is first", "q2": "Two words"})
    assert only(dataset).code == "leaked-queries"


@pytest.mark.parametrize("text", ["two words.", "two words more", "words two", "twowords", "two word"])
def test_similar_texts_are_no_leak(make_dataset: MakeDataset, text: str) -> None:
    dataset = make_dataset(docs={**DOCS, "d2": text}, queries={"q1": "which is first", "q2": "Two words"})
    assert with_findings(dataset).findings == ()


def test_a_document_with_the_query_id_is_no_leak_where_it_is_dropped(make_dataset: MakeDataset) -> None:
    docs = {**DOCS, "q1": "which is first"}
    assert only(make_dataset(docs=docs, queries=QUERIES)).code == "leaked-queries"
    assert with_findings(make_dataset(docs=docs, queries=QUERIES, drop_self=True)).findings == ()


def test_documents_that_all_have_their_query_s_id_name_the_key_to_set(make_dataset: MakeDataset) -> None:
    finding = only(make_dataset(docs={**DOCS, "q1": "which is first"}, queries=QUERIES))
    assert finding.fix.endswith("set drop_self = true in [datasets.facts]: each of them has its query's id")
    assert finding.message.endswith("; drop_self = true in [datasets.facts] leaves them out")


def test_a_title_does_not_hide_a_query_s_own_document(make_dataset: MakeDataset) -> None:
    passage = "Zoos protect endangered animals, and their visitors learn why that matters to all of us."
    docs, queries = {**DOCS, "q1": f"Zoos {passage}"}, {**QUERIES, "q1": passage}
    finding = only(make_dataset(docs=docs, queries=queries))
    assert seen(finding) == ("documents-of-queries", 1, "q1", "error")
    assert "set drop_self = true" in finding.fix
    assert finding.message.endswith("; drop_self = true in [datasets.facts] leaves it out")
    assert with_findings(make_dataset(docs=docs, queries=queries, drop_self=True)).findings == ()


def test_equal_numbers_as_ids_say_nothing(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(docs={"1": "descale a kettle"}, queries={"1": "kettle"}, qrels={"1": {"1": 1}})
    assert with_findings(dataset).findings == ()


def test_an_empty_query_is_no_leak_of_an_empty_document(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(docs={**DOCS, "d4": ""}, queries={"q1": "which", "q2": ""})
    assert [finding.code for finding in with_findings(dataset).findings] == ["empty-documents", "empty-queries"]


def test_without_judgments_a_leak_is_said_without_them(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(docs=DOCS, queries={"q1": "two"}, qrels={})
    leaked, unjudged = with_findings(dataset).findings
    assert (leaked.code, unjudged.code) == ("leaked-queries", "no-judgments")
    assert "judged" not in leaked.message


# Judgments


def test_no_judgments(make_dataset: MakeDataset) -> None:
    assert seen(only(make_dataset(qrels={}))) == ("no-judgments", 2, "", "warning")


def test_judged_queries_that_are_missing(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(qrels={"q1": {"d1": 1}, "q2": {"d2": 1}, "gone": {"d1": 1}})
    assert seen(only(dataset)) == ("missing-judged-queries", 1, "gone", "error")


def test_relevant_documents_that_are_missing(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(qrels={"q1": {"d1": 1, "lost": 0}, "q2": {"d2": 1, "lost": 2}})
    assert seen(only(dataset)) == ("missing-judged-documents", 1, "lost", "error")


def test_irrelevant_documents_that_are_missing_spoil_no_score(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(qrels={"q1": {"d1": 1, "lost": 0}, "q2": {"d2": 1, "lost": -1, "away": 0}})
    assert [seen(finding) for finding in with_findings(dataset).findings] == [
        ("missing-irrelevant-documents", 2, "lost", "warning"),
        ("negative-grades", 1, "q2", "warning"),
    ]


def test_unjudged_queries(make_dataset: MakeDataset) -> None:
    assert seen(only(make_dataset(qrels={"q1": {"d1": 1}}))) == ("unjudged-queries", 1, "q2", "warning")


def test_queries_of_other_splits_are_not_called_unjudged(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(qrels={"q1": {"d1": 1}}, judged_elsewhere=frozenset({"q2"}))
    assert with_findings(dataset).findings == ()


def test_queries_without_a_relevant_document(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(qrels={"q1": {"d1": 1}, "q2": {"d2": 0}})
    assert seen(only(dataset)) == ("queries-without-positive", 1, "q2", "warning")


def test_negative_grades(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(qrels={"q1": {"d1": 1, "d2": -1}, "q2": {"d2": 1}})
    assert seen(only(dataset)) == ("negative-grades", 1, "q1", "warning")


@pytest.mark.parametrize("grade", [0, -1])
def test_judgments_without_any_relevant_document(make_dataset: MakeDataset, grade: int) -> None:
    findings = with_findings(make_dataset(qrels={"q1": {"d1": grade, "d3": 0}, "q2": {"d2": 0}})).findings
    assert ("nothing-relevant", 3, "q1 d1", "error") in [seen(finding) for finding in findings]


def test_graded_judgments_are_as_they_should_be(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(qrels={"q1": {"d1": 2, "d3": 0}, "q2": {"d2": 1}})
    assert with_findings(dataset).findings == ()
