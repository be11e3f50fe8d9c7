"""Files of judgments: their columns by name, in any order and format, headers or none, and the bounds of grades."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_embedbench.datasets.gather import whole_grade
from pytest_embedbench.datasets.judgment_tables import read_judgments
from pytest_embedbench.datasets.types import Finding
from pytest_embedbench.errors import DatasetError
from tests.support.layouts import as_jsonl, as_parquet

JUDGMENTS: list[tuple[str, str, int]] = [("q1", "d1", 2), ("q2", "d3", 0)]


def read(path: Path, content: str | bytes, findings: list[Finding] | None = None) -> list[tuple[str, str, int]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_judgments([path], [] if findings is None else findings))


def error_of(path: Path, content: str | bytes) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        read(path, content)
    assert str(caught.value).startswith(str(path))
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize("suffix", ["tsv", "csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("query", "document", "grade"),
    [
        ("query-id", "corpus-id", "score"),
        ("query_id", "corpus_id", "relevance"),
        ("qid", "docid", "rel"),
        ("QID", "pid", "Label"),
        ("Query ID", "Doc_ID", "GRADE"),
        ("queryId", "documentId", "rating"),
        ("query", "doc", "relevance_score"),
        ("#qid", "docId", "relevanceScore"),
    ],
)
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)], ids=["usual", "swapped", "reversed"])
def test_columns_are_found_by_name(
    tmp_path: Path, suffix: str, query: str, document: str, grade: str, order: tuple[int, int, int]
) -> None:
    names = [(query, document, grade)[position] for position in order]
    rows: list[list[str | int]] = [[judgment[position] for position in order] for judgment in JUDGMENTS]
    content: str | bytes
    if suffix in {"tsv", "csv"}:
        separator = "\t" if suffix == "tsv" else ","
        lines = [separator.join(names), *(separator.join(str(cell) for cell in row) for row in rows)]
        content = "\ufeff" + "".join(f"{line}\r\n" for line in lines)
    else:
        records = [dict(zip(names, row, strict=True)) for row in rows]
        if suffix == "parquet":
            pytest.importorskip("pyarrow")
        content = as_jsonl(records) if suffix == "jsonl" else as_parquet(records)
    assert read(tmp_path / f"test.{suffix}", content) == JUDGMENTS


def test_integer_ids_follow_the_header_not_the_usual_order(tmp_path: Path) -> None:
    text = "corpus-id\tquery-id\tscore\n1\t1\t1\n2\t2\t1\n4\t3\t1\n"
    assert read(tmp_path / "test.tsv", text) == [("1", "1", 1), ("2", "2", 1), ("3", "4", 1)]


def test_grades_under_another_key_are_those_that_stand_there(tmp_path: Path) -> None:
    records = [{"query-id": "q1", "corpus-id": f"d{grade}", "relevance": grade} for grade in (1, 0)]
    assert read(tmp_path / "test.jsonl", as_jsonl(records)) == [("q1", "d1", 1), ("q1", "d0", 0)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("test.tsv", "q1\td1\t2\nq2\td3\t0\n"),
        ("test.tsv", "q1 0 d1 2\nq2 0 d3 0\n"),
        ("test.csv", "q1,d1,2\nq2,d3,0\n"),
        ("test.csv", "q1,0,d1,2\n\nq2,Q0,d3,0\n"),
    ],
)
def test_a_first_line_that_ends_in_a_number_is_a_judgment(tmp_path: Path, name: str, text: str) -> None:
    findings: list[Finding] = []
    assert read(tmp_path / name, text, findings) == JUDGMENTS
    assert [finding.code for finding in findings] == ["qrels-without-header"]


def test_quotation_marks_around_every_field_are_not_part_of_ids(tmp_path: Path) -> None:
    text = '"query-id"\t"corpus-id"\t"score"\n"q1"\t"d1"\t2\n"q2"\t"d3"\t"0"\n'
    assert read(tmp_path / "test.tsv", text) == JUDGMENTS


def test_texts_beside_ids_are_left_aside(tmp_path: Path) -> None:
    rows = [{"query": "which", "query-id": "q1", "document": "a text", "corpus-id": "d1", "score": 2}]
    assert read(tmp_path / "test.jsonl", as_jsonl(rows)) == [("q1", "d1", 2)]


def test_ids_that_pandas_made_floats_are_whole_numbers(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    rows = [{"query-id": 1.0, "corpus-id": 7.0, "score": 1.0}]
    assert read(tmp_path / "test.parquet", as_parquet(rows)) == [("1", "7", 1)]


@pytest.mark.parametrize("header", ["query-id\tcorpus-id", "query-id\titeration\tcorpus-id"])
def test_without_a_column_of_grades_each_judgment_is_relevant(tmp_path: Path, header: str) -> None:
    line = "q1\td1" if header.count("\t") == 1 else "q1\t0\td1"
    assert read(tmp_path / "test.tsv", f"{header}\n{line}\n") == [("q1", "d1", 1)]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("test.tsv", "a\tb\tc\nq1\td1\t1\n", "no column of query ids and none of document ids is known; its header has 'a', 'b', 'c'"),
        ("test.tsv", "q1\td1\trelevant\n", "no column of query ids and none of document ids is known; its header has 'q1', 'd1', 'relevant'"),
        ("test.csv", "query-id,page,score\nq1,d1,1\n", "no column of document ids is known; its header has 'query-id', 'page', 'score'"),
        ("test.tsv", "query-id\tcorpus-id\tusefulness\nq1\td1\t1\n", "no column of grades is known; its header has 'query-id', 'corpus-id', 'usefulness'"),
        ("test.jsonl", as_jsonl([{"query-id": "q", "corpus-id": "d", "usefulness": 2}]), "no column of grades is known; its header has 'query-id', 'corpus-id', 'usefulness'"),
        ("test.tsv", "query-id\tcorpus-id\tscore\trelevance\nq1\td1\t0\t1\n", "several columns could be the grades: 'score', 'relevance'"),
        ("test.csv", "qid,query_id,docid,rel\n1,2,3,1\n", "several columns could be the query ids: 'qid', 'query_id'"),
        ("test.csv", "qid,docid,docid,rel\n1,2,3,1\n", "several columns could be the document ids: 'docid', 'docid'"),
        ("test.jsonl", as_jsonl([{"query-id": "q", "corpus-id": "d"}, {"query-id": "q", "corpus-id": "e", "score": 0}]), "its keys are 'query-id', 'corpus-id', 'score', those of the first line 'query-id', 'corpus-id'"),
    ],
)  # fmt: skip
def test_columns_that_are_unknown_or_ambiguous_are_an_error(
    tmp_path: Path, name: str, content: str | bytes, problem: str
) -> None:
    assert error_of(tmp_path / name, content).problem == problem


def test_a_key_that_later_lines_lack_is_an_error(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"query-id": "q", "corpus-id": "d", "score": 0}, {"query-id": "q", "corpus-id": "e"}]
    with pytest.raises(DatasetError, match=r"test\.jsonl:2: the key 'score' is missing, which the first line has"):
        read(tmp_path / "test.jsonl", as_jsonl(rows))


@pytest.mark.parametrize(("name", "mark", "word"), [("test.tsv", ",", "commas"), ("test.csv", ";", "semicolons")])
def test_another_separator_is_named(tmp_path: Path, name: str, mark: str, word: str) -> None:
    error = error_of(tmp_path / name, mark.join(["query-id", "corpus-id", "score"]) + "\n" + mark.join(["q", "d", "1"]))
    assert f"seems to have {word}" in error.fix


@pytest.mark.parametrize(
    ("name", "header", "before", "after"),
    [
        ("test.tsv", "query-id\tcorpus-id\tscore\n", "q1\td1\t", "\n"),
        ("test.csv", "query-id,corpus-id,score\n", "q1,d1,", "\n"),
        ("test.tsv", "q0 0 d0 1\n", "q1 0 d1 ", "\n"),
        ("test.jsonl", "\n", '{"query-id": "q1", "corpus-id": "d1", "score": ', "}\n"),
    ],
)
@pytest.mark.parametrize("grade", ["10000000000", "1001", "-1001", "1.5", "99999999999999999999"])
def test_a_grade_beyond_the_bounds_names_file_line_value_and_fix(
    tmp_path: Path, name: str, header: str, before: str, after: str, grade: str
) -> None:
    error = error_of(tmp_path / name, header + before + grade + after)
    assert error.where == f"{tmp_path / name}:2"
    assert "is not a whole number" in error.problem if grade == "1.5" else "beyond 1,000" in error.problem


def test_a_grade_of_thousands_of_digits_is_shortened(tmp_path: Path) -> None:
    error = error_of(tmp_path / "test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t" + "9" * 5000 + "\n")
    assert "beyond 1,000" in error.problem
    assert len(error.problem) < 120


@pytest.mark.parametrize(
    ("value", "grade"), [(2.0, 2), ("+3.0", 3), (True, 1), (1000, 1000), ("-1000", -1000), (" 1 ", 1)]
)
def test_whole_grades(value: object, grade: int) -> None:
    assert whole_grade(value, "here") == grade


@pytest.mark.parametrize("value", [None, "", 10**400, "1,5", [1], float("nan")])
def test_what_is_no_grade(value: object) -> None:
    with pytest.raises(DatasetError) as caught:
        whole_grade(value, "here")
    assert caught.value.fix
