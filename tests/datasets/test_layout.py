"""Which files are the corpus, the queries and the judgments: by the README's front matter, else by name."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from pytest_embedbench.datasets.layout import find_splits, needed_patterns
from pytest_embedbench.datasets.load import check_dataset, load_dataset
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.errors import DatasetError
from tests.support.layouts import NFCORPUS_CARD, PARQUET_CARD, as_jsonl, as_parquet, put

DOCS = [{"_id": "d1", "title": "One", "text": "first"}, {"_id": "d2", "title": "", "text": "second"}]
QUERIES = [{"_id": "q1", "text": "which is first"}]
QRELS = [{"query-id": "q1", "corpus-id": "d1", "score": 2}]


def load(path: Path, **keys: Any) -> Dataset:
    return load_dataset(NamedDataset(alias="data", spec=DatasetSpec(path=str(path), **keys)))


def card(*configs: tuple[str, str, str]) -> bytes:
    """A README that declares these configurations: name, split, path."""
    lines = [
        f"- config_name: {name}\n  data_files:\n  - split: {split}\n    path: {path}\n" for name, split, path in configs
    ]
    return f"---\nconfigs:\n{''.join(lines)}---\n".encode()


def parts(prefix: str = "", doc: str = "first") -> dict[str, bytes]:
    docs = [{"_id": "d1", "text": doc}, {"_id": "d2", "text": "second"}]
    return {
        f"{prefix}corpus/test.jsonl": as_jsonl(docs),
        f"{prefix}queries/test.jsonl": as_jsonl(QUERIES),
        f"{prefix}qrels/test.jsonl": as_jsonl(QRELS),
    }


# NanoBEIR: all splits are called train, and judgments have no grade


@pytest.mark.parametrize("form", ["zeta-alpha-ai", "mteb"])
def test_nanobeir(tmp_path: Path, form: str) -> None:
    pytest.importorskip("pyarrow")
    bare = [{"query-id": "q1", "corpus-id": "d1"}]
    qrels = "qrels" if form == "zeta-alpha-ai" else "default"
    files = {
        "README.md": card(
            ("corpus", "train", "corpus/train-*"), ("qrels", "train", f"{qrels}/train-*"), ("queries", "train", "queries/train-*")
        ).replace(b"qrels\n", f"{qrels}\n".encode()),
        "corpus/train-00000-of-00001.parquet": as_parquet([{"_id": "d1", "text": "first"}]),
        f"{qrels}/train-00000-of-00001.parquet": as_parquet(bare if form == "zeta-alpha-ai" else QRELS),
        "queries/train-00000-of-00001.parquet": as_parquet(QUERIES),
    }  # fmt: skip
    dataset = load(put(tmp_path, files))
    assert dataset.split == "train"
    assert dataset.doc_texts == ["first"]
    assert dataset.qrels == {"q1": {"d1": 1 if form == "zeta-alpha-ai" else 2}}


# What a README may say


@pytest.mark.parametrize(
    "data_files",
    [
        "data_files: c/docs.jsonl",
        "data_files: ['c/docs.jsonl']",
        "data_files: ['./c/*.jsonl']",
        "data_files: {train: c/docs.jsonl}",
        "data_files: {train: ['c/docs.jsonl']}",
        "data_files:\n  - path: c/docs.jsonl",
        "data_files:\n  - split: train\n    path: ['c/docs.jsonl']",
        "data_dir: c",
    ],
)
def test_ways_to_say_which_files(tmp_path: Path, data_files: str) -> None:
    readme = f"---\nlicense: mit\nconfigs:\n- config_name: corpus\n  {data_files}\n- config_name: queries\n  data_files: q.jsonl\n---\n# A\n"
    files = {"README.md": readme.encode(), "c/docs.jsonl": as_jsonl(DOCS), "q.jsonl": as_jsonl(QUERIES)}
    dataset = load(put(tmp_path, files))
    assert (dataset.doc_ids, dataset.query_ids, dataset.qrels, dataset.split) == (["d1", "d2"], ["q1"], {}, "")


def test_a_card_without_configurations_leaves_it_to_the_names(tmp_path: Path) -> None:
    files = {"README.md": b"---\nconfigs:\n- config_name: viewer\n  data_files: x.csv\n---\n", **parts("data/")}
    assert load(put(tmp_path, files)).qrels == {"q1": {"d1": 2}}


def test_front_matter_that_is_none_is_an_error(tmp_path: Path) -> None:
    folder = put(tmp_path, {"README.md": b"---\nconfigs: 7\n---\n", **parts()})
    with pytest.raises(DatasetError, match=r"README\.md: its front matter \(configs\) cannot be read: .*configs"):
        load(folder)


def test_a_readme_of_another_kind_is_no_matter(tmp_path: Path) -> None:
    assert load(put(tmp_path, {"README.md": "# caf\u00e9 --- \n".encode("latin-1"), **parts()})).split == "test"


def test_a_packed_file_counts_as_its_content(tmp_path: Path) -> None:
    files = {"corpus.jsonl.gz": gzip.compress(as_jsonl(DOCS)), "queries.jsonl": as_jsonl(QUERIES)}
    assert load(put(tmp_path, files)).doc_texts == ["One first", "second"]


def test_a_damaged_packed_file_is_named(tmp_path: Path) -> None:
    files = {"corpus.jsonl.gz": gzip.compress(as_jsonl(DOCS))[:-12], "queries.jsonl": as_jsonl(QUERIES)}
    with pytest.raises(DatasetError, match=r"corpus\.jsonl\.gz: cannot be read: "):
        load(put(tmp_path, files))


def test_texts_and_judgments_may_be_csv(tmp_path: Path) -> None:
    files = {
        "corpus.csv": b'_id,title,text\nd1,One,"first, and\nmore"\nd2,,second\n',
        "queries.tsv": b"_id\ttext\nq1\twhich is first\n",
        "qrels/test.csv": b"query-id,corpus-id,score\nq1,d1,2\n",
    }
    dataset = load(put(tmp_path, files))
    assert dataset.doc_texts == ["One first, and\nmore", "second"]
    assert (dataset.query_texts, dataset.qrels) == (["which is first"], {"q1": {"d1": 2}})


# Splits and subsets


def test_a_corpus_may_have_a_split_for_each_split_of_judgments(tmp_path: Path) -> None:
    files = {
        "corpus/dev.jsonl": as_jsonl([{"_id": "d9", "text": "of dev"}]),
        "qrels/dev.jsonl": as_jsonl([{"query-id": "q1", "corpus-id": "d9", "score": 1}]),
        **parts(),
    }
    folder = put(tmp_path, files)
    assert load(folder).doc_ids == ["d1", "d2"]
    assert load(folder, split="dev").doc_ids == ["d9"]
    assert find_splits(folder) == ["dev", "test"]


def test_a_corpus_without_the_split_of_the_judgments_is_an_error(tmp_path: Path) -> None:
    files = {**parts(), "corpus/more.jsonl": as_jsonl(DOCS), "qrels/dev.jsonl": as_jsonl(QRELS)}
    with pytest.raises(DatasetError, match="its corpus has the splits more, test, but none is called 'dev'"):
        load(put(tmp_path, files), split="dev")


def test_judgments_of_other_splits_explain_unjudged_queries(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    queries = [*QUERIES, {"_id": "q2", "text": "second"}, {"_id": "q3", "text": "third"}]
    other = [{"query-id": "q2", "corpus-id": "d2", "score": 1}]
    files = {**parts(), "queries/test.jsonl": as_jsonl(queries), "qrels/dev.parquet": as_parquet(other)}
    findings = {finding.code: finding.first for finding in load(put(tmp_path, files)).findings}
    assert findings["unjudged-queries"] == "q3"


def test_subsets_are_chosen_by_name(tmp_path: Path) -> None:
    folder = put(tmp_path, {**parts("ar-", "awwal"), **parts("en-", "first")})
    assert load(folder, subset="ar").doc_texts[0] == "awwal"
    assert load(folder, subset="en").doc_texts[0] == "first"
    with pytest.raises(DatasetError, match=r"several subsets\n  fix: choose one of ar, en with subset = \.\.\."):
        load(folder)
    with pytest.raises(DatasetError, match=r"no subset 'de'\n  fix: choose one of ar, en"):
        load(folder, subset="de")


def test_of_several_subsets_only_the_chosen_one_is_fetched(tmp_path: Path) -> None:
    configs = [
        (f"{language}-{part}", "test", f"{language}/{part}-*.parquet")
        for language in ("ar", "en")
        for part in ("corpus", "queries", "qrels")
    ]
    folder = put(tmp_path, {"README.md": card(*configs)})
    assert needed_patterns(folder, "ar") == ["ar/corpus-*.parquet", "ar/queries-*.parquet", "ar/qrels-*.parquet"]


def test_what_is_fetched_are_tables_never_code_or_pickles(tmp_path: Path) -> None:
    from fnmatch import fnmatchcase

    wild = card(
        ("corpus", "train", "corpus/*"), ("queries", "train", "queries/**"), ("default", "test", "qrels/test-*")
    )
    for folder in (
        put(tmp_path / "a", {"README.md": wild}),
        put(tmp_path / "b", {"README.md": NFCORPUS_CARD.encode()}),
        put(tmp_path / "c", {"README.md": PARQUET_CARD.encode()}),
        put(tmp_path / "d", {"README.md": b"# no card"}),
    ):
        patterns = needed_patterns(folder, "")
        for name in ("corpus/load.py", "corpus/x.pkl", "queries/deep/x.bin", "qrels/test-x.pickle", "mteb.py"):
            assert not any(fnmatchcase(name, pattern) for pattern in patterns), (folder, name)
    wanted = needed_patterns(tmp_path / "a", "")
    for name in ("corpus/a.parquet", "queries/deep/x.jsonl", "qrels/test-0.tsv"):
        assert any(fnmatchcase(name, pattern) for pattern in wanted)


def test_without_a_card_names_say_what_is_fetched(tmp_path: Path) -> None:
    from fnmatch import fnmatchcase

    patterns = needed_patterns(put(tmp_path, {"README.md": b"# no card"}), "")
    for name in ("corpus.jsonl", "data/corpus-0.parquet", "qrels/test.tsv", "queries.jsonl.gz", "ar-corpus/a.parquet"):
        assert any(fnmatchcase(name, pattern) for pattern in patterns), name
    assert not any(fnmatchcase("images/a.parquet", pattern) for pattern in patterns)


# What is missing


def test_a_folder_without_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"corpus\.jsonl: no such file\n  fix: a BEIR folder holds corpus\.jsonl, "):
        check_dataset(DatasetSpec(path=str(tmp_path)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("corpus.csv", b"name,text\nd1,x\n", r"corpus\.csv: no column '_id'; its header has 'name', 'text'\n  fix: name the column _id \(or id\)"),
        ("corpus.csv", b"_id,text\nd1\n", r"corpus\.csv:2: 1 columns where the header has 2"),
        ("qrels.jsonl", b'{"query-id": "q1", "corpus-id": null}\n', r"qrels\.jsonl:1: the id of the document is missing"),
        ("qrels.jsonl", b'{"query-id": "q1", "corpus-id": "d", "score": 0.5}\n', r"qrels\.jsonl:1: the grade 0\.5 is not a whole"),
        ("qrels.jsonl", b'{"query-id": "q1", "corpus-id": "d"}\n{"corpus-id": "d"}', r"qrels\.jsonl:2: the key 'query-id' is missing"),
        ("qrels.jsonl", b"[1]", r"qrels\.jsonl:1: Expected `object`"),
        ("qrels.jsonl", b"\n", r"qrels\.jsonl: is empty"),
    ],
)  # fmt: skip
def test_a_malformed_table_names_file_and_row(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    files = {"corpus.jsonl": as_jsonl(DOCS), "queries.jsonl": as_jsonl(QUERIES), name: content}
    if name.startswith("corpus"):
        del files["corpus.jsonl"]
    with pytest.raises(DatasetError, match=message):
        load(put(tmp_path, files))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"_id": 1.5, "text": "x"}], r"corpus\.parquet:1: the id 1\.5 is neither a text nor a whole number"),
        ([{"_id": "a", "text": 3}], r"corpus\.parquet:1: the text 3 is not a text"),
        ([{"_id": "a", "words": "x"}], r"corpus\.parquet: no column 'text'; its header has '_id', 'words'"),
        ([], r"no column '_id'; its header has nothing"),
        (None, r"corpus\.parquet: cannot be read as Parquet: "),
    ],
)
def test_malformed_parquet_names_file_and_row(
    tmp_path: Path, rows: list[dict[str, object]] | None, message: str
) -> None:
    pytest.importorskip("pyarrow")
    content = b"version https://git-lfs.github.com/spec/v1\n" if rows is None else as_parquet(rows)
    with pytest.raises(DatasetError, match=message):
        load(put(tmp_path, {"corpus.parquet": content, "queries.jsonl": as_jsonl(QUERIES)}))


def test_ids_in_parquet_may_be_numbers(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    files = {
        "corpus.parquet": as_parquet([{"_id": 7, "text": "x"}]),
        "queries.parquet": as_parquet([{"_id": 1, "text": "y"}]),
        "qrels.parquet": as_parquet([{"query-id": 1, "corpus-id": 7, "score": 1.0}]),
    }
    dataset = load(put(tmp_path, files))
    assert (dataset.doc_ids, dataset.qrels) == (["7"], {"1": {"7": 1}})


def test_without_pyarrow_parquet_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    folder = put(tmp_path, {"corpus.parquet": b"PAR1", "queries.jsonl": as_jsonl(QUERIES)})
    with pytest.raises(
        DatasetError,
        match=r"corpus\.parquet: pyarrow is not installed\n  fix: pip install 'pytest-embedbench\[parquet\]'",
    ):
        load(folder)
