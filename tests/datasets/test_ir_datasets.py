"""Datasets of the ir_datasets package: its own classes over local files, for nothing can be downloaded here."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_embedbench.datasets.load import check_dataset, load_dataset
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.errors import DatasetError

ir_datasets: Any = pytest.importorskip("ir_datasets")

DOCS = """<DOC>
<DOCNO>d1</DOCNO>
<TEXT>first text</TEXT>
</DOC>
<DOC>
<DOCNO>d2</DOCNO>
<TEXT>second text</TEXT>
</DOC>
"""


def load(name: str) -> Dataset:
    return load_dataset(NamedDataset(alias=f"irds:{name}", spec=DatasetSpec(ir_datasets=name)))


@pytest.fixture
def registered(tmp_path: Path) -> Iterator[Path]:
    """Register ``embedbench-tests/test``: TSV documents and queries, TREC judgments; without its queries and judgments too."""
    from ir_datasets.formats import TrecQrels, TsvDocs, TsvQueries
    from ir_datasets.util import LocalDownload

    (tmp_path / "docs.tsv").write_text("d1\tfirst text\nd2\tsecond text\n")
    (tmp_path / "queries.tsv").write_text("q1\twhich is first\nq2\twhich is last\n")
    (tmp_path / "qrels.txt").write_text("q1 0 d1 2\nq1 0 d2 0\n")
    docs = TsvDocs(LocalDownload(tmp_path / "docs.tsv"), namespace="embedbench-tests", lang="en")
    queries = TsvQueries(LocalDownload(tmp_path / "queries.tsv"), lang="en")
    qrels = TrecQrels(LocalDownload(tmp_path / "qrels.txt"), {0: "no", 2: "yes"})
    made = {
        "embedbench-tests": ir_datasets.Dataset(docs),
        "embedbench-tests/open": ir_datasets.Dataset(docs, queries),
        "embedbench-tests/test": ir_datasets.Dataset(docs, queries, qrels),
    }
    for name, dataset in made.items():
        ir_datasets.registry.register(name, dataset)
    yield tmp_path
    for name in made:
        del ir_datasets.registry._registered[name]


def test_documents_queries_and_judgments(registered: Path) -> None:
    dataset = load("embedbench-tests/test")
    assert (dataset.name, dataset.split) == ("irds:embedbench-tests/test", "test")
    assert (dataset.doc_ids, dataset.doc_texts) == (["d1", "d2"], ["first text", "second text"])
    assert dataset.query_text == {"q1": "which is first", "q2": "which is last"}
    assert dataset.qrels == {"q1": {"d1": 2, "d2": 0}}
    assert {finding.code: finding.first for finding in dataset.findings}["unjudged-queries"] == "q2"


def test_beir_s_documents_have_their_title_before_the_text() -> None:
    from ir_datasets.datasets.beir import BeirTitleDoc

    assert BeirTitleDoc("d", "text", "Title").default_text() == "Title text"


def test_a_title_is_known_apart_from_the_text_that_begins_with_it() -> None:
    from ir_datasets.datasets.beir import BeirTitleDoc

    from pytest_embedbench.datasets.irds import _docs

    class Docs:
        @staticmethod
        def docs_iter() -> Iterator[Any]:
            yield BeirTitleDoc("d1", "text", " Title ")
            yield BeirTitleDoc("d2", "text", "")

    assert list(_docs(Docs)) == [("d1", " Title  text", "Title"), ("d2", " text", "")]


def test_without_judgments_quality_is_open(registered: Path) -> None:
    dataset = load("embedbench-tests/open")
    assert (dataset.split, dataset.qrels) == ("", {})
    assert [finding.code for finding in dataset.findings] == ["no-judgments"]


def test_without_queries_there_is_nothing_to_rank(registered: Path) -> None:
    with pytest.raises(
        DatasetError, match="irds:embedbench-tests: the dataset has docs, but a ranking needs documents and queries"
    ):
        load("embedbench-tests")


def test_an_unknown_id_is_an_error() -> None:
    with pytest.raises(
        DatasetError,
        match=r"irds:nothing/like/it: ir_datasets has no such dataset\n  fix: use one of the ids on https://",
    ):
        load("nothing/like/it")


def test_files_that_are_not_there_are_an_error(registered: Path) -> None:
    (registered / "docs.tsv").unlink()
    with pytest.raises(
        DatasetError, match=r"irds:embedbench-tests/test: .*could not load the dataset \(FileNotFoundError"
    ):
        load("embedbench-tests/test")


def test_offline_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_socket(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", no_socket)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IR_DATASETS_TMP", str(tmp_path / "tmp"))
    with pytest.raises(DatasetError, match=r"files are not all here, and the session is offline\n  fix: load it once"):
        load("beir/nfcorpus/test")


def test_its_id_names_the_judgments() -> None:
    with pytest.raises(
        DatasetError, match=r"irds:x/test: no split 'dev': the id already says which judgments are used"
    ):
        check_dataset(DatasetSpec(ir_datasets="x/test", split="dev"))


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_embedbench.datasets.irds.find_spec", lambda _: None)
    with pytest.raises(DatasetError, match=r"pip install 'pytest-embedbench\[irds\]'"):
        check_dataset(DatasetSpec(ir_datasets="x/test"))
