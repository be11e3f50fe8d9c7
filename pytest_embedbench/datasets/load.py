"""From a dataset's name and spec to its texts."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from pytest_embedbench.datasets.beir import load_beir
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.datasets.types import Dataset

BUILTIN = "builtin:"
"""The ``path`` of the collection that ships with the plugin."""


def dataset_folder(dataset: NamedDataset) -> Path:
    if dataset.spec.path == BUILTIN:
        return Path(str(resources.files("pytest_embedbench.datasets").joinpath("builtin")))
    return Path(dataset.spec.path)


def load_dataset(dataset: NamedDataset) -> Dataset:
    """Load the dataset.

    Raises:
        DatasetError: a file is missing or malformed.
    """
    spec = dataset.spec
    return load_beir(dataset_folder(dataset), dataset.alias, spec.facts(), split=spec.split, drop_self=spec.drop_self)
