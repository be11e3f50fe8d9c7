"""A new reader is one class and one place in ``DATASET_READERS``: names, checks and loading need no further change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_embedbench.datasets import load
from pytest_embedbench.datasets.gather import DatasetContent
from pytest_embedbench.datasets.reader import Reader
from pytest_embedbench.datasets.spec import DatasetSpec, dataset_path
from pytest_embedbench.errors import ConfigurationError, DatasetError
from pytest_embedbench.suite.model_names import Names, Overrides

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_embedbench.datasets.spec import NamedDataset


class FaqReader(Reader):
    """Reads ``*.faq``: lines ``question = answer``."""

    def reads(self, spec: DatasetSpec) -> bool:
        return self.reads_file(spec.path)

    def reads_file(self, name: str) -> bool:
        return name.endswith(".faq")

    def spec_of(self, name: str) -> DatasetSpec | None:
        return DatasetSpec(path=name.removeprefix("faq:")) if name.startswith("faq:") else None

    def check(self, spec: DatasetSpec) -> None:
        if not dataset_path(spec).is_file():
            raise DatasetError("no such file", where=spec.path, fix="write one")

    def read(self, spec: DatasetSpec) -> DatasetContent:
        pairs = [line.split(" = ") for line in dataset_path(spec).read_text(encoding="utf-8").splitlines()]
        docs = {f"d{number}": answer for number, (_, answer) in enumerate(pairs)}
        queries = {f"q{number}": question for number, (question, _) in enumerate(pairs)}
        qrels = {f"q{number}": {f"d{number}": 1} for number in range(len(pairs))}
        return DatasetContent(docs, queries, qrels, [])


@pytest.fixture(autouse=True)
def faq_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "DATASET_READERS", (FaqReader(), *load.DATASET_READERS))


def resolve(name: str, folder: Path) -> NamedDataset:
    (dataset,) = Names.without_suite(Overrides(datasets=(name,), folder=folder)).datasets()
    return dataset


def test_its_files_are_datasets(tmp_path: Path) -> None:
    (tmp_path / "shop.faq").write_text("Is it open? = Until nine.\nWhere is it? = In Bergen.\n", encoding="utf-8")
    named = resolve("shop.faq", tmp_path)
    dataset = load.load_dataset(named)
    assert (named.alias, dataset.query_texts, dataset.doc_texts) == (
        "shop", ["Is it open?", "Where is it?"], ["Until nine.", "In Bergen."],
    )  # fmt: skip
    assert (load.dataset_splits(named.spec), dataset.findings) == ([], ())


def test_its_names_and_checks_are_used(tmp_path: Path) -> None:
    path = tmp_path / "gone.faq"
    with pytest.raises(ConfigurationError) as caught:
        resolve(f"faq:{path}", tmp_path)
    assert str(caught.value) == f"--embed-dataset: {path}: no such file\n  fix: write one"


def test_a_definition_that_no_reader_reads_is_an_error() -> None:
    with pytest.raises(DatasetError, match="nothing says where the dataset is\n  fix: give path, hub_dataset or ir_"):
        load.check_dataset(DatasetSpec())
