"""Find the texts behind stored results; datasets are recognized by their fingerprint, so that names do not matter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import msgspec

from pytest_embedbench.datasets.load import dataset_splits, load_dataset
from pytest_embedbench.datasets.spec import NamedDataset
from pytest_embedbench.datasets.types import Dataset
from pytest_embedbench.errors import ConfigurationError
from pytest_embedbench.rating.judges.entries import Entry


def match_datasets(entries: Sequence[Entry], data: Iterable[NamedDataset]) -> dict[str, Dataset]:
    """Return the dataset of every entry, by fingerprint.

    Raises:
        ConfigurationError: none of ``data`` is the dataset of a result; the message names the result.
        DatasetError: a file is malformed.
    """
    matches = find_texts(entries, data)
    for fingerprint, entry in {entry.dataset.fingerprint: entry for entry in entries}.items():
        if fingerprint not in matches:
            problem = f"none is the data of {entry.where} ({entry.model} on {entry.dataset.name})"
            raise ConfigurationError("--data", problem, "name its folder; the files must be those that were evaluated")
    return matches


def find_texts(entries: Iterable[Entry], data: Iterable[NamedDataset]) -> dict[str, Dataset]:
    """Return the entries' datasets that are among ``data``, by fingerprint.

    A folder is tried with each split that the results name, and both with and without the rule that drops a query's
    own document: a result does not store the suite's settings, only a fingerprint that depends on them.

    Raises:
        DatasetError: a file is malformed.
    """
    wanted = {entry.dataset.fingerprint: entry for entry in entries}
    splits = {entry.dataset.split for entry in wanted.values()}
    matches: dict[str, Dataset] = {}
    for named in data:
        if len(matches) == len(wanted):  # reading and hashing a large dataset takes a while
            break
        for dataset in _variants(named, splits):
            if dataset.fingerprint in wanted:
                matches.setdefault(dataset.fingerprint, dataset)
    return matches


def _variants(named: NamedDataset, splits: Iterable[str]) -> Iterator[Dataset]:
    """Yield the dataset with each of these splits that it has, with and without a query's own document."""
    available = set(dataset_splits(named.spec))
    # Without a common split the dataset's default one is tried: in the end only the fingerprint decides.
    choices = [named.spec.split] if named.spec.split else sorted(available.intersection(splits)) or [""]
    for split in choices:
        spec = msgspec.structs.replace(named.spec, split=split)
        dataset = load_dataset(msgspec.structs.replace(named, spec=spec))
        yield dataset
        # The fingerprint also depends on whether a query's own document is dropped, which the folder does not say.
        yield replace(dataset, drop_self=not dataset.drop_self)
