"""Messages name documents by their title or first words."""

from __future__ import annotations

from pathlib import Path

from pytest_embedbench.datasets.load import load_dataset
from pytest_embedbench.datasets.spec import DatasetSpec, NamedDataset
from tests.conftest import MakeBeir


def test_documents_are_named_by_title_or_first_words(make_beir: MakeBeir) -> None:
    docs = [
        {"_id": "d1", "title": "Forgotten  password", "text": "Follow the link."},
        {"_id": "d2", "text": "Parcels inside the country\narrive in two days, to other countries in five to nine."},
        {"_id": "d3", "text": ""},
        {"_id": "d4", "text": "x" * 500},
    ]
    folder: Path = make_beir(docs=docs, qrels="query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    dataset = load_dataset(NamedDataset(alias="data", spec=DatasetSpec(path=str(folder))))
    assert dataset.shown(["d1", "d2", "d3", "gone"]) == {
        "d1": "d1 'Forgotten password'",
        "d2": "d2 'Parcels inside the country arrive in two days, to other ...'",
        "d3": "d3",
        "gone": "gone",
    }
    assert len(dataset.shown(["d4"])["d4"]) < 80
