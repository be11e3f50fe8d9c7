"""One collection in every layout is one dataset: same ids, texts, judgments, fingerprint."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import BUILTIN, DatasetSpec, NamedDataset, dataset_path
from pytest_embedbench.datasets.types import Dataset
from tests.support.layouts import as_jsonl, as_parquet, judgments, put, records, repository


def load(path: Path, **keys: Any) -> Dataset:
    return load_dataset(NamedDataset(alias="data", spec=DatasetSpec(path=str(path), **keys)))


@pytest.fixture(params=["builtin", "nfcorpus"])
def beir(request: pytest.FixtureRequest) -> Path:
    """Return the BEIR folder of a real collection; that of NFCorpus has several splits."""
    if request.param == "builtin":
        return dataset_path(DatasetSpec(path=BUILTIN))
    shared: Path = request.getfixturevalue("shared")
    return shared / "data" / "nfcorpus"


def zipped(folder: Path, to: Path, top: str = "") -> Path:
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, top + path.relative_to(folder).as_posix())
    return to


def zip_as_beir_ships_it(beir: Path, to: Path) -> Path:
    return zipped(beir, to / "data.zip", "nfcorpus/")


def zip_without_a_top_folder(beir: Path, to: Path) -> Path:
    return zipped(beir, to / "data.zip")


def hub_jsonl(beir: Path, to: Path) -> Path:
    return put(to, repository(beir, "jsonl"))


def hub_parquet(beir: Path, to: Path) -> Path:
    pytest.importorskip("pyarrow")
    return put(to, repository(beir, "parquet"))


def hub_parquet_zipped(beir: Path, to: Path) -> Path:
    return zipped(hub_parquet(beir, to / "folder"), to / "data.zip")


def hub_without_card(beir: Path, to: Path) -> Path:
    files = repository(beir, "jsonl")
    return put(to, {name: files[name] for name in files if name != "README.md"})


def one_subset(beir: Path, to: Path) -> Path:
    """A repository with one language, whose files lie in folders of that language's configurations."""
    pytest.importorskip("pyarrow")
    files = {
        "en-corpus/test.parquet": as_parquet(records(beir / "corpus.jsonl")),
        "en-queries/test.parquet": as_parquet(records(beir / "queries.jsonl")),
        "en-qrels/test.parquet": as_parquet(judgments(beir)),
    }
    return put(to, files)


def with_plain_ids(beir: Path, to: Path) -> Path:
    """MTEB's newer repositories call the id ``id``."""
    renamed = {
        name: as_jsonl([{"id": row.pop("_id"), **row} for row in records(beir / name)])
        for name in ("corpus.jsonl", "queries.jsonl")
    }
    return put(to, {**repository(beir, "jsonl"), **renamed})


@pytest.mark.parametrize(
    "write",
    [
        zip_as_beir_ships_it,
        zip_without_a_top_folder,
        hub_jsonl,
        hub_parquet,
        hub_parquet_zipped,
        hub_without_card,
        one_subset,
        with_plain_ids,
    ],
)
def test_every_layout_is_the_same_dataset(beir: Path, tmp_path: Path, write: Callable[[Path, Path], Path]) -> None:
    original = load(beir)
    other = load(write(beir, tmp_path))
    assert other.doc_ids == original.doc_ids
    assert other.doc_texts == original.doc_texts
    assert (other.query_ids, other.query_texts) == (original.query_ids, original.query_texts)
    assert other.qrels == original.qrels
    assert other.fingerprint == original.fingerprint
    assert other.split == original.split == "test"


def test_the_unpacked_archive_and_the_archive_have_the_same_findings(beir: Path, tmp_path: Path) -> None:
    assert load(zip_as_beir_ships_it(beir, tmp_path)).findings == load(beir).findings


def test_triples_have_the_texts_and_judgments_of_a_collection(shared: Path, tmp_path: Path) -> None:
    """NFCorpus without its unjudged documents, and with one id for the documents of equal text."""
    pytest.importorskip("pyarrow")
    original = load(shared / "data" / "nfcorpus")
    texts = dict(zip(original.doc_ids, original.doc_texts, strict=True))
    rows: list[dict[str, Any]] = [
        {"query": original.query_text[query], "document": texts[doc], "score": grade}
        for query, judged in original.qrels.items()
        for doc, grade in judged.items()
    ]
    triples = load(put(tmp_path, {"nf.parquet": as_parquet(rows)}) / "nf.parquet")
    assert set(triples.doc_texts) == {row["document"] for row in rows}
    assert len(triples.judged_queries) == 323
    by_text = {
        (triples.query_text[query], text): grade
        for query, judged in triples.qrels.items()
        for doc, grade in judged.items()
        for text in [triples.doc_texts[triples.doc_ids.index(doc)]]
        if query in triples.judged_queries[:20]
    }
    firsts = {triples.query_text[query] for query in triples.judged_queries[:20]}
    highest: dict[tuple[str, str], int] = {}
    for row in rows:
        if row["query"] in firsts:
            pair = (str(row["query"]), str(row["document"]))
            highest[pair] = max(highest.get(pair, 0), int(row["score"]))
    assert by_text == highest
