"""Tables of queries with their documents: spellings, ids from texts, and what is said of rows that cannot be read."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from pytest_embedbench.datasets.load import check_dataset, load_dataset
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.errors import DatasetError
from tests.support.layouts import as_jsonl, as_parquet

ROWS = [
    {"query": "how do whales breathe", "document": 'Whales breathe air, "through" a blowhole.', "score": 2},
    {"query": "how do whales breathe", "document": "Fish breathe water\nthrough gills.", "score": 0},
    {"query": "baking bread", "document": "Sourdough rises by wild yeast.", "score": 1},
]  # fmt: skip


def load(path: Path, **keys: Any) -> Dataset:
    return load_dataset(NamedDataset(alias="mine", spec=DatasetSpec(path=str(path), **keys)))


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def as_csv(rows: list[dict[str, object]], delimiter: str) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def judged(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Judgments with texts in place of ids."""
    texts = dict(zip(dataset.doc_ids, dataset.doc_texts, strict=True))
    return {
        dataset.query_text[query]: {texts[doc]: grade for doc, grade in docs.items()}
        for query, docs in dataset.qrels.items()
    }


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_every_format_is_the_same_dataset(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
        content: bytes | str = as_parquet(ROWS)
    else:
        content = as_jsonl(ROWS) if suffix == ".jsonl" else as_csv(ROWS, "," if suffix == ".csv" else "\t")
    dataset = load(write(tmp_path / f"mine{suffix}", content))
    assert judged(dataset) == {
        "how do whales breathe": {
            'Whales breathe air, "through" a blowhole.': 2,
            "Fish breathe water\nthrough gills.": 0,
        },
        "baking bread": {"Sourdough rises by wild yeast.": 1},
    }
    assert (dataset.name, dataset.split, dataset.findings) == ("mine", "", ())
    assert dataset.fingerprint == load(write(tmp_path / "again.jsonl", as_jsonl(ROWS))).fingerprint


def test_question_and_answer_pairs(tmp_path: Path) -> None:
    """Each answer is relevant to its question; an answer to several questions is one document."""
    text = "question,answer\nWho wrote it?,Ada\nWho read it?,Ada\nWho sold it?,Bob\n"
    dataset = load(write(tmp_path / "pairs.csv", text))
    assert judged(dataset) == {"Who wrote it?": {"Ada": 1}, "Who read it?": {"Ada": 1}, "Who sold it?": {"Bob": 1}}
    assert dataset.doc_texts == ["Ada", "Bob"]
    assert dataset.judged_queries == dataset.query_ids


def test_a_negative_is_in_the_corpus_and_not_relevant(tmp_path: Path) -> None:
    rows = [
        {"anchor": "q", "positive": "good", "negative": "bad"},
        {"anchor": "r", "positive": "bad", "negative": "good"},
    ]
    dataset = load(write(tmp_path / "t.jsonl", as_jsonl(rows)))
    assert judged(dataset) == {"q": {"good": 1, "bad": 0}, "r": {"bad": 1, "good": 0}}


@pytest.mark.parametrize(
    "header", ["query,document,score", "Question,Answer,Label", "ANCHOR,passage,relevance", "query_text,document text,grade"]
)  # fmt: skip
def test_spellings_of_columns(tmp_path: Path, header: str) -> None:
    assert judged(load(write(tmp_path / "t.csv", f"id,{header}\n7,q,d,2\n"))) == {"q": {"d": 2}}


def test_texts_are_stripped_and_equal_ones_are_one(tmp_path: Path) -> None:
    dataset = load(write(tmp_path / "t.csv", "query,document,score\n q , d ,1\nq,d,2\n"))
    assert (dataset.query_texts, dataset.doc_texts) == (["q"], ["d"])
    assert judged(dataset) == {"q": {"d": 2}}
    assert "repeated-judgments" in {finding.code for finding in dataset.findings}


def test_ids_stay_the_same_when_rows_come_and_go(tmp_path: Path) -> None:
    some = load(write(tmp_path / "some.jsonl", as_jsonl(ROWS[2:])))
    more = load(write(tmp_path / "more.jsonl", as_jsonl(ROWS[::-1])))
    assert set(some.query_ids) < set(more.query_ids)
    assert set(some.doc_ids) < set(more.doc_ids)


def test_long_cells_are_read_and_csv_s_own_limit_stays(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    dataset = load(write(tmp_path / "t.csv", f"query,document\nq,{'x' * 200_000}\n"))
    assert len(dataset.doc_texts[0]) == 200_000
    assert csv.field_size_limit() == before


def test_a_byte_order_mark_and_blank_lines_do_not_matter(tmp_path: Path) -> None:
    text = "\ufeffquery,document\r\n\r\nq,d\r\n\r\n"
    assert judged(load(write(tmp_path / "t.csv", text))) == {"q": {"d": 1}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"t\.csv: no column 'query'; its header has nothing\n  fix: name the column query \(or question, anchor"),
        ("a,b\n1,2\n", r"no column 'query'; its header has 'a', 'b'"),
        (
            "query,b\n1,2\n",
            r"no column 'document'; its header has 'query', 'b'\n  fix: name the column document \(or answer",
        ),
        ("query,document\n", r"t\.csv: has no row below its header"),
        (
            "query,document\nq,d\nq,one, two\n",
            r"t\.csv:3: 3 columns where the header has 2\n  fix: put double quotes around",
        ),
        ("query,document\nq,d\n ,d\n", r"t\.csv:3: the query is empty\n  fix: fill it in or leave the row out"),
        ("query,document\nq,\n", r"t\.csv:2: the document is empty"),
        ("query,document,score\nq,d,high\n", r"t\.csv:2: the grade 'high' is not a whole number"),
        ("query,document,score\nq,d,0.7\n", r"t\.csv:2: the grade '0\.7' is not a whole number"),
        ("query,document,score,negative\nq,d,1,n\n", r"t\.csv:2: both a score and a negative"),
        ('query,document\nq,"open\n', r"t\.csv:2: unexpected end of data\n  fix: double quotes within a text"),
        (b"query,document\nq,caf\xe9\n", r"t\.csv: not UTF-8 after line "),
    ],
)
def test_what_cannot_be_read_names_file_and_row(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = write(tmp_path / "t.csv", text)
    with pytest.raises(DatasetError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))


def test_values_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"t\.jsonl:2: the document is not a text but a list of 2, .*: \['a', 'b'\]"):
        load(
            write(
                tmp_path / "t.jsonl",
                as_jsonl([{"query": "q", "document": "d"}, {"query": "q", "document": ["a", "b"]}]),
            )
        )


def test_a_table_has_no_splits_and_must_be_there(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "query,document\nq,d\n")
    with pytest.raises(DatasetError, match=r"t\.csv: no split 'dev': a table is used as a whole"):
        check_dataset(DatasetSpec(path=str(path), split="dev"))
    with pytest.raises(
        DatasetError, match=r"gone\.csv: no such file\n  fix: give a table with the columns query, document"
    ):
        check_dataset(DatasetSpec(path=str(tmp_path / "gone.csv")))


def test_a_big_parquet_corpus_is_read_in_columns(tmp_path: Path) -> None:
    """200,000 documents in well under the minute that a reader of single cells takes."""
    import time

    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (tmp_path / "corpus").mkdir()
    count = 200_000
    ids = pa.array([f"d{n}" for n in range(count)])
    table = pa.table({"_id": ids, "title": ids, "text": ids, "embedding": pa.array([[0.0] * 8] * count)})
    parquet.write_table(table, tmp_path / "corpus" / "test-00000-of-00001.parquet")
    (tmp_path / "queries.jsonl").write_bytes(as_jsonl([{"_id": "q", "text": "d7"}]))
    started = time.process_time()
    dataset = load(tmp_path)
    assert time.process_time() - started < 20
    assert len(dataset.doc_ids) == count
    assert dataset.doc_texts[-1] == "d199999 d199999"
