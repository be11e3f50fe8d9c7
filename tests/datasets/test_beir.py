"""Reading BEIR folders: every defect is reported with its count, none loses a line, and the unreadable is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_embedbench.datasets.layout import find_layout
from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import BUILTIN, DatasetSpec, NamedDataset
from pytest_embedbench.datasets.types import Dataset, DatasetFacts, Finding
from pytest_embedbench.errors import DatasetError

if TYPE_CHECKING:
    from tests.conftest import MakeBeir

HEADER = "query-id\tcorpus-id\tscore\n"


def load(folder: Path, split: str = "") -> Dataset:
    return load_dataset(NamedDataset(alias=folder.name, spec=DatasetSpec(path=str(folder), split=split)))


def found(dataset: Dataset) -> dict[str, tuple[int, str]]:
    """Code -> (count, first) of the dataset's findings; each code stands once."""
    codes = [finding.code for finding in dataset.findings]
    assert len(codes) == len(set(codes))
    return {finding.code: (finding.count, finding.first) for finding in dataset.findings}


# The real collections, with the counts that data/README.md states (and, where it is silent, counted by hand)

TWINS = "repeated-texts"
ASKED_TWICE = "repeated-query-texts"
REAL: list[tuple[str, str, int, int, int, int, dict[str, tuple[int, str]]]] = [
    # folder, split, documents, unique texts, scored queries, judgments, findings
    ("nfcorpus", "test", 3633, 3593, 323, 12334, {TWINS: (40, "MED-118")}),
    ("nfcorpus", "dev", 3633, 3593, 324, 11385, {TWINS: (40, "MED-118"), ASKED_TWICE: (1, "PLAIN-237")}),
    ("nfcorpus", "train", 3633, 3593, 2590, 110575, {TWINS: (40, "MED-118"), ASKED_TWICE: (14, "PLAIN-31")}),
    ("cranfield", "test", 1400, 1399, 225, 1837, {"empty-documents": (2, "471"), TWINS: (1, "471")}),
    ("cranfield", "test_1612", 1400, 1399, 225, 1837, {"empty-documents": (2, "471"), TWINS: (1, "471")}),
    (
        "cranfield", "test_raw_codes", 1400, 1399, 225, 1837,
        {"empty-documents": (2, "471"), TWINS: (1, "471"), "negative-grades": (225, "1")},
    ),
    ("norquad", "test", 755, 755, 472, 472, {}),
    ("norquad", "all", 755, 755, 4752, 4752, {ASKED_TWICE: (3, "w1-106")}),
    ("arcd", "test", 460, 460, 702, 702, {ASKED_TWICE: (3, "990778242153")}),
    (
        "agentset-arcd", "test", 255, 255, 50, 702,
        {
            "missing-judged-queries": (652, "arcd-q0"), "missing-judged-documents": (6, "arcd-doc4"),
            ASKED_TWICE: (1, "arcd-q27"),
        },
    ),
    ("agentset-business-reports", "test", 671, 671, 11, 203, {"unjudged-queries": (39, "q_1")}),
    ("agentset-dbpedia", "test", 5000, 5000, 40, 3709, {"unjudged-queries": (10, "SemSearch_ES-94")}),
    (
        "agentset-msmarco", "test", 5000, 4999, 43, 4102,
        {"qrels-without-header": (1, "19335\t1720389\t1"), TWINS: (1, "3516677"), "unjudged-queries": (7, "789774")},
    ),
    ("agentset-pg", "test", 2043, 2022, 0, 0, {TWINS: (21, "13sentences_chunk_4"), "no-judgments": (50, "")}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "split", "docs", "texts", "scored", "judgments", "findings"),
    REAL,
    ids=[f"{row[0]}-{row[1]}" for row in REAL],
)
def test_real_collections(
    shared: Path,
    name: str,
    split: str,
    docs: int,
    texts: int,
    scored: int,
    judgments: int,
    findings: dict[str, tuple[int, str]],
) -> None:
    dataset = load(shared / "data" / name, split)
    assert len(dataset.doc_ids) == len(dataset.doc_texts) == docs
    assert dataset.unique_texts == texts
    assert len(dataset.judged_queries) == scored
    assert sum(map(len, dataset.qrels.values())) == judgments
    assert found(dataset) == findings


def test_a_missing_header_costs_no_judgment(shared: Path) -> None:
    assert load(shared / "data" / "agentset-msmarco").qrels["19335"]["1720389"] == 1


def test_real_grades_stay_graded(shared: Path) -> None:
    grades = [g for judged in load(shared / "data" / "nfcorpus").qrels.values() for g in judged.values()]
    assert (grades.count(1), grades.count(2)) == (11758, 576)


# Small folders, one defect each


def test_a_clean_folder_has_no_finding(make_beir: MakeBeir) -> None:
    dataset = load(make_beir())
    assert dataset.findings == ()
    assert (dataset.name, dataset.split) == ("data", "test")
    assert dataset.doc_ids == ["d1", "d2"]
    assert dataset.doc_texts == ["One first", "second"]
    assert dataset.qrels == {"q1": {"d1": 1}}
    assert dataset.judged_queries == ["q1"]


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({"title": "T", "text": "x"}, "T x"),
        ({"title": "", "text": "x"}, "x"),
        ({"title": "T", "text": ""}, "T"),
        ({"title": None, "text": None}, ""),
        ({"text": "  x \n"}, "x"),
        ({"title": " T ", "text": " x"}, "T   x"),
        ({"title": "T", "text": "x", "metadata": {"url": "u"}, "language": 3}, "T x"),
    ],
    ids=str,
)
def test_documents_are_title_blank_text_stripped(make_beir: MakeBeir, record: dict[str, str], text: str) -> None:
    folder = make_beir(docs=[{"_id": "d1", **record}, {"_id": "d2", "text": "other"}])
    assert load(folder).doc_texts[0] == text


def test_ids_may_be_numbers(make_beir: MakeBeir) -> None:
    folder = make_beir(docs=[{"_id": 7, "text": "x"}], queries=[{"_id": 1, "text": "y"}], qrels=HEADER + "1\t7\t1\n")
    dataset = load(folder)
    assert (dataset.doc_ids, dataset.query_ids, dataset.qrels) == (["7"], ["1"], {"1": {"7": 1}})
    assert dataset.findings == ()


def test_qrels_without_header_keep_their_first_judgment(make_beir: MakeBeir) -> None:
    dataset = load(make_beir(qrels="q1\td1\t2\nq1\td2\t1\n"))
    assert dataset.qrels == {"q1": {"d1": 2, "d2": 1}}
    assert found(dataset) == {"qrels-without-header": (1, "q1\td1\t2")}


@pytest.mark.parametrize(
    ("header", "line"), [("query-id\tcorpus-id\tscore", "q1\td1\t2"), ("qid iter docid rel", "q1 0 d1 2")]
)
def test_known_words_are_a_header(make_beir: MakeBeir, header: str, line: str) -> None:
    dataset = load(make_beir(qrels=f"{header}\n{line}\n"))
    assert (dataset.qrels, dataset.findings) == ({"q1": {"d1": 2}}, ())


def test_a_header_may_follow_blank_lines(make_beir: MakeBeir) -> None:
    dataset = load(make_beir(qrels=f"\n \n{HEADER}\nq1\td1\t2\n\n"))
    assert (dataset.qrels, dataset.findings) == ({"q1": {"d1": 2}}, ())


@pytest.mark.parametrize(
    "line",
    ["q1\t0\td1\t2", "q1 0 d1 2", "q1 Q0  d1   2", "q1\td1\t2", "q1 d1 2", "q1\td1\t2.0", "q1\td1\t2e0"],
)
@pytest.mark.parametrize("header", ["", HEADER], ids=["bare", "header"])
def test_layouts_of_a_judgment(make_beir: MakeBeir, header: str, line: str) -> None:
    dataset = load(make_beir(qrels=f"{header}{line}\nq1\td2\t1\n"))
    assert dataset.qrels == {"q1": {"d1": 2, "d2": 1}}
    assert ("qrels-without-header" in found(dataset)) == (not header)


def test_ids_with_blanks_in_tab_separated_qrels(make_beir: MakeBeir) -> None:
    folder = make_beir(
        docs=[{"_id": "doc 1", "text": "x"}],
        queries=[{"_id": "query 1", "text": "y"}, {"_id": "query 2", "text": "z"}],
        qrels={"test": HEADER + "query 1\tdoc 1\t1\n", "dev": HEADER + "query 2\tdoc 1\t1\n"},
    )
    dataset = load(folder)
    assert (dataset.qrels, dataset.findings) == ({"query 1": {"doc 1": 1}}, ())


def test_swapped_columns_without_a_header_are_an_error(make_beir: MakeBeir) -> None:
    with pytest.raises(DatasetError, match=r"qrels/test\.tsv: the ids in its column of queries are those of documents"):
        load(make_beir(qrels="d1\tq1\t1\nd2\tq1\t0\n"))


def test_missing_documents_and_queries_are_counted_and_kept(make_beir: MakeBeir) -> None:
    dataset = load(make_beir(qrels=HEADER + "q1\td1\t1\nq1\tgone\t1\nlost\tgone\t1\nlost\taway\t2\n"))
    assert dataset.qrels == {"q1": {"d1": 1, "gone": 1}, "lost": {"gone": 1, "away": 2}}
    assert dataset.judged_queries == ["q1"]
    assert found(dataset) == {"missing-judged-queries": (1, "lost"), "missing-judged-documents": (2, "gone")}


def test_empty_and_repeated_documents(make_beir: MakeBeir) -> None:
    docs = [
        {"_id": "d1", "text": "same"},
        {"_id": "e1", "text": " "},
        {"_id": "d2", "title": "same", "text": ""},
        {"_id": "e2", "title": "", "text": ""},
        {"_id": "d3", "text": "same"},
    ]
    dataset = load(make_beir(docs=docs))
    assert dataset.doc_texts == ["same", "", "same", "", "same"]
    assert dataset.unique_texts == 2
    assert found(dataset) == {"empty-documents": (2, "e1"), "repeated-texts": (3, "d1")}


def test_of_repeated_ids_the_first_is_used(make_beir: MakeBeir) -> None:
    folder = make_beir(
        docs=[{"_id": "d1", "text": "old"}, {"_id": "d1", "text": "new"}, {"_id": 1, "text": "a"}, {"_id": "1", "text": "b"}],
        queries=[{"_id": "q1", "text": "which"}, {"_id": "q1", "text": "who"}],
    )  # fmt: skip
    dataset = load(folder)
    assert (dataset.doc_texts, dataset.query_texts) == (["old", "a"], ["which"])
    assert found(dataset) == {"repeated-document-ids": (2, "d1"), "repeated-query-ids": (1, "q1")}


@pytest.mark.parametrize("lines", ["q1\td1\t1\nq1\td1\t2\nq1\td1\t1\n", "q1\td1\t2\nq1\td1\t0\nq1\td1\t-1\n"])
def test_of_conflicting_judgments_the_highest_is_used(make_beir: MakeBeir, lines: str) -> None:
    dataset = load(make_beir(qrels=HEADER + lines))
    assert dataset.qrels == {"q1": {"d1": 2}}
    assert found(dataset) == {"repeated-judgments": (2, "q1 d1")}


def test_grades_below_zero_and_queries_without_a_relevant_document(make_beir: MakeBeir) -> None:
    queries = [{"_id": f"q{n}", "text": f"query {n}"} for n in range(1, 5)]
    qrels = HEADER + "q1\td1\t1\nq1\td2\t-1\nq2\td1\t0\nq3\td1\t-2\n"
    dataset = load(make_beir(queries=queries, qrels=qrels))
    assert dataset.qrels == {"q1": {"d1": 1, "d2": -1}, "q2": {"d1": 0}, "q3": {"d1": -2}}
    assert dataset.judged_queries == ["q1"]
    assert found(dataset) == {
        "unjudged-queries": (1, "q4"),
        "queries-without-positive": (2, "q2"),
        "negative-grades": (2, "q1"),
    }


@pytest.mark.parametrize("qrels", [None, {"test": ""}, {"test": HEADER}, {"test": "\n\n"}], ids=repr)
def test_no_judgments_at_all(make_beir: MakeBeir, qrels: dict[str, str] | None) -> None:
    dataset = load(make_beir(qrels=qrels))
    assert (dataset.qrels, dataset.judged_queries) == ({}, [])
    assert found(dataset) == {"no-judgments": (1, "")}


def test_without_a_qrels_folder_there_are_no_judgments(make_beir: MakeBeir) -> None:
    folder = make_beir(qrels=None)
    (folder / "qrels").rmdir()
    assert found(load(folder)) == {"no-judgments": (1, "")}


def test_queries_of_other_splits_are_not_called_unjudged(make_beir: MakeBeir) -> None:
    queries = [{"_id": f"q{n}", "text": f"query {n}"} for n in range(1, 4)]
    splits = {"test": HEADER + "q1\td1\t1\n", "train": HEADER + "q2\td1\t1\n"}
    assert found(load(make_beir(queries=queries, qrels=splits))) == {"unjudged-queries": (1, "q3")}


# Splits


@pytest.mark.parametrize(
    ("splits", "asked", "expected"),
    [
        (["test"], "", "test"),
        (["dev", "test", "train"], "", "test"),
        (["dev", "test"], "dev", "dev"),
        (["dev"], "", "dev"),
        ([], "", ""),
    ],
)
def test_which_split(make_beir: MakeBeir, splits: list[str], asked: str, expected: str) -> None:
    folder = make_beir(qrels={split: f"{HEADER}q1\td1\t{n}\n" for n, split in enumerate(splits, 1)})
    assert find_layout(folder, asked).split == expected
    dataset = load(folder, asked)
    assert dataset.split == expected
    assert dataset.qrels == ({"q1": {"d1": splits.index(expected) + 1}} if expected else {})


@pytest.mark.parametrize(
    ("splits", "asked", "message"),
    [
        (["dev", "train"], "", "several splits and no 'test': dev, train"),
        (["dev", "train"], "test", "no split 'test'; there are: dev, train"),
        ([], "test", "no split 'test'; there are: none"),
    ],
)
def test_a_split_that_is_not_there(make_beir: MakeBeir, splits: list[str], asked: str, message: str) -> None:
    folder = make_beir(qrels=dict.fromkeys(splits, HEADER))
    with pytest.raises(DatasetError) as caught:
        load(folder, asked)
    assert (caught.value.where, caught.value.problem) == (str(folder / "qrels"), message)


# Encodings and line ends


@pytest.mark.parametrize("file", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
@pytest.mark.parametrize("defect", ["crlf", "bom", "both"])
def test_crlf_and_bom_change_nothing(make_beir: MakeBeir, file: str, defect: str) -> None:
    folder = make_beir(docs=[{"_id": "d1", "title": "Ünï", "text": "日本"}, {"_id": "d2", "text": "second"}])
    clean = load(folder)
    content = (folder / file).read_bytes()
    if defect != "bom":
        content = content.replace(b"\n", b"\r\n")
    if defect != "crlf":
        content = b"\xef\xbb\xbf" + content
    (folder / file).write_bytes(content)
    dirty = load(folder)
    assert dirty == clean
    assert dirty.fingerprint == clean.fingerprint


def test_a_bom_before_qrels_without_header(make_beir: MakeBeir) -> None:
    dataset = load(make_beir(qrels="\ufeffq1\td1\t1\n"))
    assert dataset.qrels == {"q1": {"d1": 1}}


def test_line_separators_inside_a_text_are_not_line_ends(make_beir: MakeBeir) -> None:
    folder = make_beir()
    text = "a\u2028b\x85c\x0cd"
    (folder / "corpus.jsonl").write_text('{"_id": "d1", "text": "a\u2028b\x85c\\fd"}\n', encoding="utf-8")
    assert load(folder).doc_texts == [text]


def test_not_utf8_names_file_and_line_however_far_in(make_beir: MakeBeir) -> None:
    folder = make_beir()
    lines = [f'{{"_id": "d{n}", "text": "{"x" * 200}"}}\n'.encode() for n in range(500)]
    lines[400] = '{"_id": "d400", "text": "caf\xe9"}\n'.encode("latin-1")
    (folder / "corpus.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(DatasetError) as caught:
        load(folder)
    assert str(caught.value).startswith(f"{folder / 'corpus.jsonl'}:401: not UTF-8 (")


# What cannot be read


@pytest.mark.parametrize("file", ["corpus.jsonl", "queries.jsonl"])
@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "truncated"),
        ("not json", "malformed"),
        ('{"text": "no id"}', "missing required field `_id`"),
        ('{"_id": null, "text": "x"}', "$._id"),
        ('{"_id": "d9", "text": 3}', "the text 3 is not a text"),
        ('["d9", "x"]', "Expected `object`"),
    ],
)
def test_bad_json_names_file_and_line(make_beir: MakeBeir, file: str, line: str, problem: str) -> None:
    folder = make_beir()
    good = '{"_id": "d1", "text": "x"}\n'
    (folder / file).write_text(f"{good}\n{line}\n{good}", encoding="utf-8")
    with pytest.raises(DatasetError) as caught:
        load(folder)
    assert str(caught.value).startswith(f"{folder / file}:3: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("q1\td1", "2 columns instead of three: query-id corpus-id score"),
        ("q1\td1\t1\tx\ty", "5 columns instead of three: query-id corpus-id score"),
        ("q1\td1\tgood", "the grade 'good' is not a whole number"),
        ("q1\td1\t0.5", "the grade '0.5' is not a whole number"),
        ("q1\td1\tnan", "the grade 'nan' is not a whole number"),
        ("q1\td1\tinf", "the grade 'inf' is beyond 1,000, the largest that can be scored"),
        ("q1\td1\t", "the grade is missing"),
        ("\td1\t1", "the id of the query is missing"),
    ],
)
def test_a_bad_judgment_names_file_and_line(make_beir: MakeBeir, line: str, problem: str) -> None:
    folder = make_beir(qrels=f"{HEADER}q1\td2\t1\n{line}\n")
    with pytest.raises(DatasetError) as caught:
        load(folder)
    assert (caught.value.where, caught.value.problem) == (f"{folder / 'qrels' / 'test.tsv'}:3", problem)


def test_a_fractional_first_grade_is_not_taken_for_a_header(make_beir: MakeBeir) -> None:
    with pytest.raises(DatasetError, match=r"test\.tsv:1: the grade '0\.5' is not a whole number"):
        load(make_beir(qrels="q1\td1\t0.5\nq1\td2\t1\n"))


@pytest.mark.parametrize("file", ["corpus.jsonl", "queries.jsonl"])
def test_missing_and_empty_files(make_beir: MakeBeir, file: str) -> None:
    folder = make_beir()
    (folder / file).write_text("\n", encoding="utf-8")
    kind = "document" if file == "corpus.jsonl" else "query"
    with pytest.raises(DatasetError) as empty:
        load(folder)
    assert str(empty.value) == f"{folder / file}: holds no {kind}"
    (folder / file).unlink()
    with pytest.raises(DatasetError) as missing:
        load(folder)
    layout = "a BEIR folder holds corpus.jsonl, queries.jsonl and qrels/<split>.tsv"
    assert str(missing.value) == f"{folder / file}: no such file\n  fix: {layout}"


# Fingerprints and specs

words = st.text("ab", min_size=1, max_size=2)
datasets = st.builds(
    lambda docs, queries, qrels, drop: Dataset(
        "n",
        "test",
        list(docs),
        list(docs.values()),
        list(queries),
        list(queries.values()),
        qrels,
        drop_self=drop,
    ),
    st.dictionaries(words, words, max_size=3),
    st.dictionaries(words, words, max_size=3),
    st.dictionaries(words, st.dictionaries(words, st.integers(-1, 2), min_size=1, max_size=2), max_size=2),
    st.booleans(),
)


@given(datasets, datasets)
def test_fingerprints_are_equal_exactly_when_the_data_are(one: Dataset, other: Dataset) -> None:
    def data(d: Dataset) -> tuple[object, ...]:
        return (d.doc_ids, d.doc_texts, d.query_ids, d.query_texts, d.qrels, d.drop_self)

    assert (one.fingerprint == other.fingerprint) == (data(one) == data(other))


def test_every_part_of_the_data_changes_the_fingerprint(make_beir: MakeBeir) -> None:
    base = load(make_beir())
    changed = [
        replace(base, doc_ids=["d1", "d3"]),
        replace(base, doc_texts=["One first", "second."]),
        replace(base, doc_texts=["One", "first second"]),
        replace(base, doc_ids=base.doc_ids[::-1], doc_texts=base.doc_texts[::-1]),
        replace(base, query_ids=["q2"]),
        replace(base, query_texts=["which is last"]),
        replace(base, qrels={"q1": {"d1": 2}}),
        replace(base, qrels={"q1": {"d2": 1}}),
        replace(base, qrels={"q1": {"d1": 1, "d2": 0}}),
        replace(base, drop_self=True),
    ]
    assert len({base.fingerprint, *(dataset.fingerprint for dataset in changed)}) == len(changed) + 1


def test_facts_names_and_the_order_of_judgments_do_not_change_the_fingerprint(make_beir: MakeBeir) -> None:
    base = load(make_beir(qrels=HEADER + "q1\td1\t1\nq1\td2\t2\n"))
    reordered = replace(base, qrels={"q1": {"d2": 2, "d1": 1}})
    renamed = replace(base, name="x", split="dev", facts=DatasetFacts(domain="law"), revision="7")
    assert base.fingerprint == reordered.fingerprint == renamed.fingerprint


def test_load_dataset_takes_split_facts_and_drop_self_from_the_spec(make_beir: MakeBeir) -> None:
    folder = make_beir(qrels={"test": HEADER, "dev": HEADER + "q1\td2\t1\n"})
    spec = DatasetSpec(path=str(folder), split="dev", drop_self=True, domain="law", language="en")
    dataset = load_dataset(NamedDataset(alias="laws", spec=spec))
    assert (dataset.name, dataset.split, dataset.drop_self) == ("laws", "dev", True)
    assert dataset.qrels == {"q1": {"d2": 1}}
    assert dataset.facts == DatasetFacts(domain="law", language="en")


def test_the_builtin_dataset_has_no_defect() -> None:
    dataset = load_dataset(NamedDataset(alias="builtin", spec=DatasetSpec(path=BUILTIN)))
    assert [finding for finding in dataset.findings if finding.code != "unjudged-queries"] == []
    assert dataset.judged_queries


def test_findings_are_plain_data() -> None:
    finding = Finding(code="c", message="m", count=1)
    assert finding.first == ""


def test_titles_are_known_apart_from_texts(make_beir: MakeBeir) -> None:
    docs: list[dict[str, Any]] = [
        {"_id": "d1", "title": " Whales ", "text": " breathe air. "},
        {"_id": "d2", "title": "", "text": "No title"},
        {"_id": "d3", "title": None, "text": "None either"},
        {"_id": "d4", "title": "Only a title", "text": ""},
        {"_id": "d5", "text": "first of this id"},
        {"_id": "d5", "title": "second", "text": "of this id"},
    ]
    data = load(make_beir(docs=docs))
    assert list(data.titles_and_texts()) == [
        ("Whales", "breathe air."),
        ("", "No title"),
        ("", "None either"),
        ("Only a title", ""),
        ("", "first of this id"),
    ]
    assert data.doc_texts[0] == "Whales   breathe air."
