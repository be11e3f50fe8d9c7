"""Texts that stand elsewhere than readers look: other keys, lists of turns, other formats; one error or a finding."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_embedbench.datasets.load import check_dataset, load_dataset
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.errors import DatasetError
from tests.support.layouts import as_jsonl, as_parquet, put

MakeBeir = Callable[..., Path]
TURNS = ["who wrote it?", "and when?"]


def load(path: Path) -> Dataset:
    return load_dataset(NamedDataset(alias="data", spec=DatasetSpec(path=str(path))))


def error_of(path: Path) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        load(path)
    return caught.value


@pytest.mark.parametrize("key", ["contents", "body", "passage", "Text"])
def test_texts_under_another_key_are_one_error(make_beir: MakeBeir, key: str) -> None:
    folder = make_beir(docs=[{"id": "d1", key: "first"}, {"id": "d2", key: "second"}])
    error = error_of(folder)
    assert error.where == f"{folder / 'corpus.jsonl'}:1"
    assert (error.problem, error.fix) == (f"no key 'text'; its keys are 'id', '{key}'", f"rename the key {key} to text")


def test_a_single_line_without_its_text_is_an_error(make_beir: MakeBeir) -> None:
    folder = make_beir(queries=[{"_id": "q1", "text": "which"}, {"_id": "q2", "title": "who"}])
    error = error_of(folder)
    assert error.where == f"{folder / 'queries.jsonl'}:2"
    assert error.fix.startswith("give each line its text under the key text")


def test_texts_beside_text_are_a_finding(make_beir: MakeBeir) -> None:
    dataset = load(make_beir(docs=[{"_id": "d1", "text": "first", "body": "more", "url": "u"}]))
    (finding,) = [finding for finding in dataset.findings if finding.code == "keys-left-aside"]
    assert finding.message.endswith(": body")


def test_texts_that_are_all_empty_are_an_error(make_beir: MakeBeir) -> None:
    folder = make_beir(docs=[{"_id": "d1", "text": ""}, {"_id": "d2", "text": None}])
    assert error_of(folder).problem == "the text of every document is empty"


@pytest.mark.parametrize("turns", [TURNS, [{"role": "user", "content": "who wrote it?"}]], ids=["texts", "roles"])
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_query_that_is_a_conversation(make_beir: MakeBeir, suffix: str, turns: list[object]) -> None:
    folder = make_beir(queries=[{"_id": "q1", "text": turns}])
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
        (folder / "queries.jsonl").unlink()
        (folder / "queries.parquet").write_bytes(as_parquet([{"_id": "q1", "text": turns}]))
    error = error_of(folder)
    assert error.where == f"{folder / f'queries.{suffix}'}:1"
    assert error.problem.startswith(
        f"the text is not a text but a list of {len(turns)}, such as the turns of a conversation"
    )
    assert error.fix.startswith("join them to one text")


@pytest.mark.parametrize(
    ("content", "command"),
    [
        (json.dumps([{"_id": "d1", "text": "x"}], indent=2), "jq -c '.[]' corpus.jsonl"),
        (json.dumps([{"_id": "d1", "text": "x"}]), "jq -c '.[]' corpus.jsonl"),
        (json.dumps({"_id": "d1", "text": "x"}, indent=2), "jq -c . corpus.jsonl"),
    ],
)
def test_json_that_is_not_json_lines(make_beir: MakeBeir, content: str, command: str) -> None:
    folder = make_beir()
    (folder / "corpus.jsonl").write_text(content, encoding="utf-8")
    error = error_of(folder)
    assert error.problem.startswith("JSON over several lines or in one list, not JSON lines")
    assert error.fix.endswith(command)


def test_a_corpus_in_a_json_file_is_named(make_beir: MakeBeir) -> None:
    folder = make_beir()
    (folder / "corpus.jsonl").rename(folder / "corpus.json")
    with pytest.raises(DatasetError, match=r"there is corpus\.json\n  fix: .* corpus\.json > corpus\.jsonl$"):
        check_dataset(DatasetSpec(path=str(folder)))


def test_a_pointer_of_git_lfs_is_named(make_beir: MakeBeir) -> None:
    folder = make_beir()
    (folder / "corpus.jsonl").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n")
    error = error_of(folder)
    assert error.problem == "a pointer of Git LFS stands in its place"
    assert (error.where, error.fix) == (str(folder / "corpus.jsonl"), "git lfs pull")


@pytest.mark.parametrize("name", ["dataset_dict.json", "corpus/state.json", "corpus/data-00000-of-00001.arrow"])
def test_a_folder_of_save_to_disk(tmp_path: Path, name: str) -> None:
    folder = put(tmp_path, {name: b"{}"})
    with pytest.raises(DatasetError, match=r"save_to_disk of the datasets library wrote.*\n  fix: .*load_from_disk"):
        check_dataset(DatasetSpec(path=str(folder)))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pairs.json", r"JSON, but not JSON lines \(\.jsonl\)\n  fix: .* pairs\.json > pairs\.jsonl$"),
        ("pairs.xlsx", r"neither a table of a known format nor a folder\n  fix: "),
    ],
)
def test_a_file_of_an_unknown_format(tmp_path: Path, name: str, words: str) -> None:
    folder = put(tmp_path, {name: b"[]"})
    with pytest.raises(DatasetError, match=rf"{name}: {words}"):
        check_dataset(DatasetSpec(path=str(folder / name)))


@pytest.mark.parametrize("key", ["text", "title"])
@pytest.mark.parametrize("value", ["12.5", '{"en": "a"}', "true"])
def test_a_value_in_the_place_of_a_text(make_beir: MakeBeir, key: str, value: str) -> None:
    folder = make_beir()
    (folder / "corpus.jsonl").write_text(f'{{"_id": "d1", "text": "a", "{key}": {value}}}\n', encoding="utf-8")
    error = error_of(folder)
    assert "corpus.jsonl:1" in error.where
    assert re.fullmatch(rf"the {key} .* is not a text", error.problem)
    assert error.fix == "write it in quotation marks"


def test_semicolons_between_columns(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("query;document;score\nq;d, e;1\n", encoding="utf-8")
    error = error_of(path)
    assert "its header has 'query;document;score'" in error.problem
    assert error.fix.endswith("by commas in .csv files, by tabs in .tsv files; this file seems to have semicolons")


# Negatives of triples


def triples(path: Path, rows: list[dict[str, Any]]) -> Dataset:
    path.write_bytes(as_jsonl(rows) if path.suffix == ".jsonl" else as_parquet(rows))
    return load(path)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    "negatives",
    [
        {"negative_1": "bread", "negative_2": "tomato"},
        {"negative1": "bread", "negative2": "tomato"},
        {"hard_negative": "bread", "negative": "tomato"},
        {"negatives": ["bread", "tomato"]},
        {"neg": ["bread", "tomato"]},
    ],
    ids="-".join,
)
def test_negatives_are_in_the_corpus(tmp_path: Path, suffix: str, negatives: dict[str, Any]) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    dataset = triples(tmp_path / f"t.{suffix}", [{"query": "kettle", "positive": "descale", **negatives}])
    assert dataset.doc_texts == ["descale", "bread", "tomato"]
    assert [list(judged.values()) for judged in dataset.qrels.values()] == [[1, 0, 0]]
    assert "columns-left-aside" not in {finding.code for finding in dataset.findings}


def test_rows_may_have_fewer_negatives_than_others(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("query,positive,negative_1,negative_2\nq,a,b,c\nr,d,e,\n", encoding="utf-8")
    assert load(path).doc_texts == ["a", "b", "c", "d", "e"]
    rows = [{"query": "q", "positive": "a"}, {"query": "r", "positive": "b", "negative_1": "c"}]
    assert triples(tmp_path / "t.jsonl", rows).doc_texts == ["a", "b", "c"]


def test_documents_in_other_columns_are_a_finding(tmp_path: Path) -> None:
    rows = [{"query": "q", "positive": "a", "positive_2": "b", "doc_id": 7, "url": "u"}]
    (finding,) = [f for f in triples(tmp_path / "t.jsonl", rows).findings if f.code == "columns-left-aside"]
    assert finding.message.endswith(": positive_2")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([{"score": 0}, {}], "no score, which the first line has"),
        ([{}, {"score": 0}], "a score, which the first line lacks"),
        ([{"score": 0}, {"score": None}], "the grade is missing"),
        ([{"score": 0}, {"score": 10**10}], "the grade 10000000000 is beyond 1,000, the largest that can be scored"),
    ],
)
def test_scores_are_never_made_up(tmp_path: Path, rows: list[dict[str, Any]], problem: str) -> None:
    with pytest.raises(DatasetError) as caught:
        triples(tmp_path / "t.jsonl", [{"query": "q", "document": "d", **row} for row in rows])
    assert (caught.value.where, caught.value.problem) == (f"{tmp_path / 't.jsonl'}:2", problem)
