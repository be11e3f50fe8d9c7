"""A result file has the name of the MTEB task, by which MTEB looks for it; other judgments have their own."""

from __future__ import annotations

import pytest

from pytest_embedbench import catalog
from pytest_embedbench.catalog.result_names import result_name


@pytest.mark.parametrize(
    ("dataset", "split", "task", "name"),
    [
        ("tickets", "test", "", "tickets"),
        ("tickets@dev", "dev", "", "tickets@dev"),
        ("scifact", "test", "SciFact", "SciFact"),
        ("scifact", "", "SciFact", "SciFact"),
        ("scifact@train", "train", "SciFact", "SciFact@train"),
        ("mine", "test", "MyOwnTask", "MyOwnTask"),
        ("MSMARCO", "dev", "MSMARCO", "MSMARCO"),
        ("MSMARCO@test", "test", "MSMARCO", "MSMARCO@test"),
        ("NanoSciFactRetrieval", "train", "NanoSciFactRetrieval", "NanoSciFactRetrieval"),
    ],
)
def test_names(dataset: str, split: str, task: str, name: str) -> None:
    assert result_name(dataset, split, task) == name


def test_every_task_of_the_catalogue_names_its_file() -> None:
    tasks = {spec.mteb_task: spec.split for spec in catalog.datasets().values() if spec.mteb_task}
    assert tasks
    assert all(result_name("any", split, task) == task for task, split in tasks.items())
